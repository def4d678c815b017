"""Keys that go to vLLM in its own words, and to no other server."""

from typing import Any

import pytest
from openai import OpenAI

from contracts.tasks import Tier
from tests.fixtures.router_app import Call
from tests.functions.router.openai.deployment import Answers, post

ASKED: dict[str, Any] = {
    "logprobs": 2,
    "presence_penalty": 0.5,
    "frequency_penalty": -1,
    "logit_bias": {"50256": -100},
}
FOUND = {"tokens": [" is"], "token_logprobs": [-0.5], "top_logprobs": [{" is": -0.5}]}


def test_a_tier_on_vllm_gets_them_and_no_other_may_answer(client: OpenAI, tier: Answers) -> None:
    tier.more = {"logprobs": FOUND}
    made = client.completions.create(model="large", prompt="a", **ASKED)
    ((target, request),) = tier.requests
    assert (target.tier, request.passed) == (Tier.GPU, ASKED)
    assert {*request.parameters} == {"max_new_tokens", "return_full_text"}
    (choice,) = made.choices
    assert choice.logprobs is not None
    assert (choice.logprobs.tokens, choice.logprobs.token_logprobs) == ([" is"], [-0.5])


def test_those_that_change_nothing_are_not_passed(client: OpenAI, tier: Answers) -> None:
    client.completions.create(model="large", prompt="a", presence_penalty=0, logit_bias={})
    ((target, request),) = tier.requests
    assert (target.tier, request.passed) == (Tier.CPU, {})


@pytest.mark.parametrize("key", ASKED)
def test_a_model_without_vllm_refuses_each(call: Call, tier: Answers, key: str) -> None:
    status, body = post(
        call, "/v1/completions", {"model": "writer", "prompt": "a", key: ASKED[key]}
    )
    error = body["error"]
    assert (status, error["param"], error["code"]) == (400, key, "invalid_value")
    assert error["message"].endswith("leave it out")
    assert tier.requests == []


def test_a_request_that_pins_the_cpu_tier_is_refused(call: Call, tier: Answers) -> None:
    document = {"model": "large", "prompt": "a", "tier": "cpu", "logprobs": 1}
    status, body = post(call, "/v1/completions", document)
    assert (status, body["error"]["param"]) == (400, "logprobs")
    assert "the cpu tier runs another server" in body["error"]["message"]
    assert tier.requests == []


def test_a_value_that_is_nested_without_end_is_refused(call: Call, tier: Answers) -> None:
    deep: Any = 1
    for _ in range(70):
        deep = [deep]
    document = {"model": "large", "prompt": "a", "logit_bias": deep}
    status, body = post(call, "/v1/completions", document)
    assert (status, body["error"]["param"]) == (400, "logit_bias")
    assert "nested more than 64 deep" in body["error"]["message"]
    assert tier.requests == []


def test_what_is_passed_counts_among_the_characters_of_a_request(call: Call) -> None:
    bias = {str(i): 1 for i in range(3000)}
    document = {"model": "large", "prompt": "a", "logit_bias": {**bias, "x": "y" * 10_000}}
    status, body = post(call, "/v1/completions", document)
    assert (status, body["error"]["code"]) == (400, "too_large")
