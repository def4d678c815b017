"""`client.embeddings` of OpenAI's own package, which asks for base64 unless it is told otherwise."""

import json
from typing import Any

import pytest
from openai import OpenAI

from tests.fixtures.router_app import Call
from tests.functions.router.openai.deployment import (
    VECTOR,
    Answers,
    post,
)

PATH = "/v1/embeddings"


@pytest.mark.parametrize(
    "options",
    [{}, {"encoding_format": "float"}, {"dimensions": 384}, {"dimensions": 128}],
)
def test_the_vectors_arrive_in_the_order_of_the_texts(
    client: OpenAI, options: dict[str, Any]
) -> None:
    made = client.embeddings.create(
        model="sentence-embedding", input=["one two", "three"], **options
    )
    assert [(one.index, one.embedding) for one in made.data] == [(0, VECTOR), (1, VECTOR)]
    assert (made.model, made.object) == ("sentence-embedding", "list")
    assert (made.usage.prompt_tokens, made.usage.total_tokens) == (3, 3)


def test_base64_is_that_of_float32(call: Call) -> None:
    asked = {"model": "sentence-embedding", "input": "a", "encoding_format": "base64"}
    _, body = post(call, PATH, asked)
    assert body["data"] == [{"object": "embedding", "index": 0, "embedding": "AAAAPwAAgL4AAAA+"}]


def test_a_prompt_of_the_model_is_named_by_it(client: OpenAI, tier: Answers) -> None:
    client.embeddings.create(
        model="sentence-embedding", input="a", extra_body={"prompt_name": "query"}
    )
    ((_, request),) = tier.requests
    assert request.parameters == {"prompt_name": "query"}


def test_fewer_dimensions_are_asked_of_the_tier(client: OpenAI, tier: Answers) -> None:
    client.embeddings.create(model="sentence-embedding", input="a", dimensions=128)
    ((_, request),) = tier.requests
    assert request.parameters == {"dimensions": 128}


@pytest.mark.parametrize(
    ("keys", "param", "words"),
    [
        (
            {"dimensions": 256},
            "dimensions",
            "must be 384 or 128; fewer dimensions have to be listed",
        ),
        ({"dimensions": 384.0}, "dimensions", "whole number"),
        ({"input": [[1, 2]]}, "input", "token ids"),
        ({"input": ""}, "input/0", "empty"),
        ({"encoding_format": "hex"}, "encoding_format", "float, base64"),
        ({"model": "writer"}, "model", "text-generation"),
    ],
)
def test_what_is_not_done_here_is_refused_by_its_key(
    call: Call, keys: dict[str, Any], param: str, words: str
) -> None:
    asked = {"model": "sentence-embedding", "input": "a", **keys}
    status, body = post(call, PATH, asked)
    assert (status, body["error"]["param"], words in body["error"]["message"]) == (400, param, True)
    assert json.dumps(body)
