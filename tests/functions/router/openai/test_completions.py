"""`client.completions` of OpenAI's own package: what it sends is run, and what it reads is there."""

from dataclasses import replace
from typing import Any

import pytest
from openai import OpenAI

from contracts.routes import Cascade
from contracts.tasks import Tier
from tests.fixtures.router_app import Call, router
from tests.functions.router.openai.deployment import ALL, LARGE, Answers, post

PATH = "/v1/completions"


def wire(tier: Answers) -> dict[str, Any]:
    """Return the inputs and parameters of the one request that the tier got."""
    ((_, request),) = tier.requests
    return {"inputs": list(request.inputs), **request.parameters}


def test_texts_are_continued_in_the_order_of_the_prompts(client: OpenAI, tier: Answers) -> None:
    made = client.completions.create(model="writer", prompt=["one two", "three"], max_tokens=9)
    assert [(one.index, one.text, one.finish_reason) for one in made.choices] == [
        (0, "ONE TWO", "stop"),
        (1, "THREE", "stop"),
    ]
    assert made.usage is not None
    assert (made.usage.prompt_tokens, made.usage.completion_tokens) == (3, 14)
    assert made.usage.total_tokens == 17
    assert (made.object, made.model) == ("text_completion", "writer")
    assert made.system_fingerprint == "f00dfeed0000"
    assert wire(tier) == {
        "inputs": ["one two", "three"],
        "max_new_tokens": 9,
        "return_full_text": False,
    }


@pytest.mark.parametrize(
    ("asked", "meant"),
    [
        ({}, {"max_new_tokens": 16}),
        ({"temperature": 0}, {"do_sample": False}),
        ({"temperature": 0, "top_p": 0.5, "seed": 3}, {"do_sample": False}),
        ({"temperature": 0.7, "top_p": 0.9}, {"temperature": 0.7, "top_p": 0.9}),
        ({"seed": -1, "temperature": 1}, {"seed": 2**64 - 1, "temperature": 1}),
        ({"stop": "."}, {"stop": ["."]}),
        ({"stop": [".", "!"]}, {"stop": [".", "!"]}),
        ({"echo": True}, {"return_full_text": True}),
        ({"stop": None, "user": "me", "logit_bias": {}, "best_of": 1}, {}),
        ({"presence_penalty": 0, "frequency_penalty": 0.0, "suffix": ""}, {}),
    ],
)
def test_each_key_means_a_parameter_of_ours(
    client: OpenAI, tier: Answers, asked: dict[str, Any], meant: dict[str, Any]
) -> None:
    client.completions.create(model="writer", prompt="a", **asked)
    whole = {"inputs": ["a"], "max_new_tokens": 16, "return_full_text": False, **meant}
    assert wire(tier) == whole


def test_several_texts_of_a_prompt_read_it_once(client: OpenAI, tier: Answers) -> None:
    made = client.completions.create(model="writer", prompt=["one two", "three"], n=2)
    assert [one.text for one in made.choices] == ["ONE TWO", "ONE TWO", "THREE", "THREE"]
    assert made.usage is not None
    assert (made.usage.prompt_tokens, made.usage.completion_tokens) == (3, 28)
    assert wire(tier)["inputs"] == ["one two", "one two", "three", "three"]


@pytest.mark.parametrize(
    ("reason", "theirs"),
    [("eos_token", "stop"), ("stop_sequence", "stop"), ("length", "length"), ("time", "length")],
)
def test_a_text_ends_for_a_reason_that_its_clients_know(
    client: OpenAI, tier: Answers, reason: str, theirs: str
) -> None:
    tier.reason = reason
    made = client.completions.create(model="writer", prompt="a")
    assert [one.finish_reason for one in made.choices] == [theirs]


def test_the_options_of_the_router_travel_beside_the_keys(client: OpenAI, tier: Answers) -> None:
    options = {"deadline_ms": 700, "prefer": "fast", "tier": "cpu"}
    made = client.completions.create(model="writer", prompt="a", user="me", extra_body=options)
    assert made.model_extra == {
        "turnout": {
            "version": "f00dfeed0000",
            "tier": "cpu",
            "reason": "pinned",
            "elapsed_ms": 1.5,
        }
    }
    ((_, request),) = tier.requests
    assert (request.prefer, request.tier, request.client) == ("fast", "cpu", "me")
    assert (request.deadline_ms or 0) <= 700


@pytest.mark.parametrize(
    ("keys", "param", "words"),
    [
        ({"prompt": None}, "prompt", "is needed"),
        ({"prompt": [1, 2]}, "prompt", "token ids are not taken"),
        ({"prompt": []}, "prompt", "a text or a list of texts"),
        ({"prompt": ["a", " "]}, "prompt/1", "empty text"),
        ({"max_tokens": 0}, "max_tokens", "a whole number from 1 up"),
        ({"temperature": 3}, "temperature", "from 0 to 2"),
        ({"n": 2, "seed": 1}, "seed", "the same text 2 times"),
        ({"stream": True}, "stream", "come whole"),
        ({"logprobs": 2}, "logprobs", "log-probabilities"),
        ({"best_of": True}, "best_of", "by `n`"),
        ({"presence_penalty": 0.5}, "presence_penalty", "not applied"),
        ({"prefer": "cheapest"}, "prefer", "must be"),
        ({"top_k": 5}, "top_k", "unknown key"),
        ({"model": 5}, "model", "the name of a model"),
        ({"model": "support-intent"}, "model", "text-classification"),
    ],
)
def test_what_is_not_done_here_is_refused_by_its_key(
    call: Call, tier: Answers, keys: dict[str, Any], param: str, words: str
) -> None:
    status, body = post(call, PATH, {"model": "writer", "prompt": "a", **keys})
    error = body["error"]
    assert (status, error["type"], error["param"]) == (400, "invalid_request_error", param)
    assert (error["code"], words in error["message"]) == ("invalid_value", True), error
    assert tier.requests == []


def test_every_problem_is_counted_and_the_first_is_named(call: Call) -> None:
    _, body = post(call, PATH, {"prompt": "a", "n": 0, "x": 1})
    assert body["error"]["message"].startswith("n: must be a whole number from 1 to 128")
    assert body["error"]["message"].endswith("and 2 more problems")


@pytest.mark.parametrize("document", [[], "text", 5, None])
def test_a_body_that_is_no_object_is_refused(call: Call, document: Any) -> None:
    status, body = post(call, PATH, document)
    assert (status, body["error"]["param"], body["error"]["code"]) == (400, None, "invalid_value")


CASCADED = replace(
    LARGE,
    cascade=Cascade(
        threshold=0.8,
        parameters={"max_new_tokens": 9},
        rows=500,
        kept=0.7,
        lost=0.0,
        bound=0.01,
        assurance=0.95,
    ),
)


@pytest.mark.parametrize(
    ("asked", "tiers"),
    [
        ({"max_tokens": 9, "temperature": 0}, ["cpu", "gpu"]),
        # Not of the rows' kind.
        ({"max_tokens": 10, "temperature": 0}, ["cpu"]),
        ({"max_tokens": 9, "temperature": 0, "echo": True}, ["cpu"]),
    ],
)
def test_an_uncertain_text_of_the_rows_kind_comes_from_the_gpu_tier(
    asked: dict[str, Any], tiers: list[str]
) -> None:
    small, large = Answers(more={"confidence": 0.5}), Answers(more={"generated_text": "better"})
    routes = replace(ALL, models={"large": CASCADED})
    call = router({Tier.CPU: small, Tier.GPU: large}, routes=routes)
    status, body = post(call, PATH, {"model": "large", "prompt": "a", **asked})
    assert (status, body["choices"][0]["text"]) == (200, "better" if "gpu" in tiers else "A")
    assert [one for one, tier in (("cpu", small), ("gpu", large)) if tier.requests] == tiers
    assert body["turnout"]["reason"] == ("escalated" if "gpu" in tiers else "fits_cpu")
