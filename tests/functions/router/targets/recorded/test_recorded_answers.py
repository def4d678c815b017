"""Our client on what vLLM itself answered: recorded bytes of a release, whole streams and refusals."""

import json
from typing import Any

import pytest

from scripts.record_vllm import CASES, version
from tests.functions.router.targets.recorded.answers import DOCUMENT, RECORDED, outcome

CAPITAL = "The capital of France is Paris."
TOO_LONG = "This model's maximum context length is 128 tokens. However, "


def test_it_is_the_release_that_is_installed_and_the_requests_that_are_sent() -> None:
    assert DOCUMENT["server"] == version()
    assert {name: answer.request for name, answer in RECORDED.items()} == {
        name: case.body for name, case in CASES.items()
    }


def written(text: str, tokens: int, reason: str, *, read: int = 5, **more: Any) -> dict[str, Any]:
    return {
        "generated_text": text,
        "finish_reason": reason,
        "generated_tokens": tokens,
        "tokens": read,
        "truncated": False,
        **more,
    }


@pytest.mark.parametrize(
    ("name", "output"),
    [
        ("text", written(" Paris.\n\nThe answer", 6, "length")),
        ("stop", written(" Paris", 2, "stop_sequence")),
        ("chat", written(CAPITAL, 8, "eos_token", read=37)),
        ("tools that are allowed", written(CAPITAL, 8, "eos_token", read=37)),
    ],
)
def test_a_stream_is_a_text(name: str, output: dict[str, Any]) -> None:
    assert outcome(name, RECORDED[name]) == output


def test_log_probabilities_of_a_text_are_put_together() -> None:
    found = outcome("text, log-probabilities", RECORDED["text, log-probabilities"])["logprobs"]
    assert (found["tokens"], found["text_offset"]) == ([" Paris", "."], [0, 6])
    assert found["token_logprobs"] == [max(top.values()) for top in found["top_logprobs"]]


def test_log_probabilities_of_a_chat_are_put_together() -> None:
    found = outcome("chat, log-probabilities", RECORDED["chat, log-probabilities"])["logprobs"]
    assert [one["token"] for one in found["content"]] == ["The", " capital"]
    assert [len(one["top_logprobs"]) for one in found["content"]] == [2, 2]


def test_a_text_that_has_room_for_a_part_of_its_tokens_is_written_to_the_end_of_the_context() -> (
    None
):
    name = "more tokens than there is room for"
    found = outcome(name, RECORDED[name])
    counts = [found[key] for key in ("tokens", "generated_tokens", "finish_reason")]
    assert counts == [101, 27, "length"]


def test_formats_are_kept_to() -> None:
    begun = outcome("JSON", RECORDED["JSON"])
    assert (begun["generated_text"][0], begun["finish_reason"]) == ("{", "length")
    whole = outcome("schema", RECORDED["schema"])
    assert (list(json.loads(whole["generated_text"])), whole["finish_reason"]) == (
        ["city"],
        "eos_token",
    )


def test_a_call_of_a_tool_is_put_together() -> None:
    found = outcome("a tool that is required", RECORDED["a tool that is required"])
    (call,) = found["tool_calls"]
    assert (found["generated_text"], found["finish_reason"]) == ("", "tool_calls")
    assert (call["type"], call["id"].startswith("chatcmpl-tool-")) == ("function", True)
    # So small a model leaves the schema, and vLLM's parser lets it.
    assert call["function"] == {"name": "weather", "arguments": '"france"'}


@pytest.mark.parametrize(
    ("name", "code", "words", "at"),
    [
        ("prompt beyond the context", "too_large", TOO_LONG, []),
        ("tokens beyond the context", "too_large", "max_tokens=129 cannot be greater", []),
        ("tools", "invalid_input", '"auto" tool choice requires --enable-auto-tool-choice', []),
        ("bias of no token", "invalid_input", "logit_bias contains key(s)", ["/logit_bias"]),
        ("bias of a token that is none", "invalid_input", "token_id(s)", ["/logit_bias"]),
        ("too many log-probabilities", "invalid_input", "Requested sample", ["/logprobs"]),
    ],
)
def test_a_refusal_is_an_error_of_ours(name: str, code: str, words: str, at: list[str]) -> None:
    found = outcome(name, RECORDED[name])
    assert (found["code"], found["at"], words in found["detail"]) == (code, at, True), found
