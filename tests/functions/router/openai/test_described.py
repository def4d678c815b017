"""The OpenAPI document describes the dialect as it is answered."""

import json
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from tests.fixtures.router_app import Call
from tests.functions.router.openai.deployment import Answers, deployed, post

CALL = {"id": "call_1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
REQUESTS: dict[str, dict[str, Any]] = {
    "/v1/chat/completions": {
        "model": "chatter",
        "messages": [
            {"role": "developer", "content": "Be short.", "name": None},
            {"role": "assistant", "content": "Yes?", "refusal": None, "tool_calls": None},
            {"role": "assistant", "content": None, "tool_calls": [CALL]},
            {"role": "user", "content": [{"type": "text", "text": "Why?"}]},
        ],
        "n": 2,
        "response_format": {"type": "text"},
    },
    "/v1/completions": {"model": "writer", "prompt": "a", "n": 2, "stream": False, "seed": None},
    "/v1/embeddings": {
        "model": "sentence-embedding",
        "input": ["a"],
        "encoding_format": "base64",
        "deadline_ms": 900,
    },
}


@pytest.fixture(scope="module")
def call() -> Call:
    return deployed(Answers())


@pytest.fixture(scope="module")
def document(call: Call) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(call("GET", "/openapi.json", key=None)["body"])
    return found


def assert_valid(document: dict[str, Any], schema: dict[str, Any], value: object) -> None:
    whole = {**schema, "components": document["components"]}
    errors = [e.message for e in Draft202012Validator(whole).iter_errors(value)]
    assert errors == []


@pytest.mark.parametrize("path", REQUESTS)
def test_requests_and_answers_are_those_that_are_described(
    call: Call, document: dict[str, Any], path: str
) -> None:
    operation = document["paths"][path]["post"]
    described = operation["requestBody"]["content"]["application/json"]
    assert_valid(document, described["schema"], REQUESTS[path])
    assert_valid(document, described["schema"], described["example"])
    status, body = post(call, path, REQUESTS[path])
    answer = operation["responses"][str(status)]["content"]["application/json"]["schema"]
    assert status == 200
    assert_valid(document, answer, body)


@pytest.mark.parametrize("path", REQUESTS)
@pytest.mark.parametrize("changes", [{"model": "none"}, {"stream": True, "dimensions": 5}])
def test_errors_have_the_shape_that_is_described(
    call: Call, document: dict[str, Any], path: str, changes: dict[str, Any]
) -> None:
    status, body = post(call, path, {**REQUESTS[path], **changes})
    answers = document["paths"][path]["post"]["responses"]
    assert_valid(document, answers[str(status)]["content"]["application/json"]["schema"], body)
    assert body["error"]["message"]


def test_a_key_that_is_not_described_is_refused(call: Call, document: dict[str, Any]) -> None:
    for path, request in REQUESTS.items():
        schema = document["paths"][path]["post"]["requestBody"]["content"]["application/json"]
        assert schema["schema"]["additionalProperties"] is False
        assert post(call, path, {**request, "top_k": 5})[0] == 400
