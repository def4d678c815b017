"""Streams and errors of vLLM, in the words of its release 0.11, of older ones and of llama.cpp's server."""

from typing import Any

import pytest

from contracts.http_errors import InvalidInput, ModelFailed, ServingError, TooLarge
from contracts.prediction import PredictRequest
from functions.router.targets.vllm import stream
from functions.router.targets.vllm_stream import MAX_EVENT_BYTES, error_of, events
from tests.functions.router.targets.vllm_chunks import (
    CHAT,
    DONE,
    TARGET,
    Calls,
    ask,
    event,
    last,
    piece,
    said,
)


@pytest.mark.parametrize("size", [1, 2, 3, 7, 1000])
@pytest.mark.parametrize("ends", [b"\n", b"\r\n"])
def test_events_are_read_however_they_are_cut(size: int, ends: bytes) -> None:
    text = b": ping\n\ndata: {\n data: no line of its own\ndata:1}\n\nid: 7\n\n" + DONE
    text = text.replace(b"\n", ends)
    chunks = (text[i : i + size] for i in range(0, len(text), size))
    assert list(events(chunks)) == [b"{\n1}", b"[DONE]"]


@pytest.mark.parametrize(
    ("more", "reason"),
    [
        ({"reason": "stop"}, "eos_token"),
        ({"reason": "stop", "stop_reason": None}, "eos_token"),
        # The id of an end token that is not the first one.
        ({"reason": "stop", "stop_reason": 151643}, "eos_token"),
        ({"reason": "stop", "stop_reason": "."}, "stop_sequence"),
        ({"reason": "length"}, "length"),
        ({"reason": "tool_calls"}, "tool_calls"),
    ],
)
def test_a_text_ends_for_a_reason_of_ours(more: dict[str, Any], reason: str) -> None:
    assert ask(piece("a", 1, **more), DONE)["finish_reason"] == reason


def test_a_server_that_counts_nothing_has_its_chunks_counted() -> None:
    output = ask(said({"content": "a"}), said({"content": "b"}, "stop"), DONE)
    assert (output["tokens"], output["generated_tokens"]) == (0, 2)


def test_log_probabilities_are_those_of_every_chunk() -> None:
    first = {"tokens": [" a"], "token_logprobs": [-0.5], "text_offset": [0], "top_logprobs": None}
    second = {"tokens": ["b"], "token_logprobs": [-1.5], "text_offset": [2], "top_logprobs": None}
    output = ask(piece(" a", 1, logprobs=first), piece("b", 2, "length", logprobs=second), DONE)
    assert output["logprobs"] == {
        "tokens": [" a", "b"],
        "token_logprobs": [-0.5, -1.5],
        "text_offset": [0, 2],
        "top_logprobs": [],
    }


def test_calls_of_tools_are_put_together() -> None:
    def call(index: int, **function: str) -> dict[str, Any]:
        named = {"id": f"call-{index}", "type": "function"} if "name" in function else {}
        return {"tool_calls": [{"index": index, **named, "function": function}]}

    output = ask(
        said(call(0, name="weather", arguments="")),
        said(call(0, arguments='{"place": ')),
        said(call(0, arguments='"Rome"}')),
        said(call(1, name="time")),
        said({"tool_calls": [{"index": 1}]}, "tool_calls"),
        last(20, 9),
        DONE,
        asked=PredictRequest(inputs=(CHAT,)),
    )
    assert (output["generated_text"], output["finish_reason"]) == ("", "tool_calls")
    assert output["tool_calls"] == [
        {
            "id": "call-0",
            "type": "function",
            "function": {"name": "weather", "arguments": '{"place": "Rome"}'},
        },
        {"id": "call-1", "type": "function", "function": {"name": "time", "arguments": ""}},
    ]


@pytest.mark.parametrize(
    "chunks",
    [
        (),
        (piece("a", 1),),
        (piece("a", 1), DONE),
        (piece("a", 1)[:-5],),
        (b"data: {\n\n",),
        (b"data: " + b"[" * 100_000 + b"\n\n",),
        (event({"choices": None}),),
        (event([]), DONE),
        (b"data: " + b"x" * MAX_EVENT_BYTES,),
        (piece("a", 1), event({"error": {"message": "EngineDeadError", "code": 500}}), DONE),
        (piece("a", 1), event({"object": "error", "message": "secret", "code": 500}), DONE),
    ],
    ids=[
        "nothing",
        "no end",
        "no reason",
        "cut",
        "no JSON",
        "nested",
        "no choices",
        "a list",
        "endless",
        "error",
        "older error",
    ],
)
def test_a_stream_that_breaks_off_has_failed(chunks: tuple[bytes, ...]) -> None:
    with pytest.raises(ModelFailed) as caught:
        list(stream(TARGET, PredictRequest(inputs=("a",)), Calls([chunks])))
    assert "gpu tier" in caught.value.detail or "event of the stream" in caught.value.detail
    assert "secret" not in caught.value.detail


TOO_LONG = "This model's maximum context length is 1024 tokens. However, you requested 2000 tokens"


@pytest.mark.parametrize(
    ("status", "error", "kind", "words"),
    [
        (400, {"message": TOO_LONG, "type": "BadRequestError"}, TooLarge, "1024 tokens"),
        (400, {"message": "the request exceeds the available context size"}, TooLarge, "size"),
        (400, {"message": "logit_bias: no", "param": "logit_bias"}, InvalidInput, "logit_bias: no"),
        (422, {"message": "bad", "code": None}, InvalidInput, "bad"),
        (400, {"message": "secret", "code": 404}, ModelFailed, "status 404"),
        (500, {"message": "secret"}, ModelFailed, "status 500"),
    ],
)
def test_errors_are_read_in_both_forms(
    status: int, error: dict[str, Any], kind: type[ServingError], words: str
) -> None:
    for document in ({"error": error}, {"object": "error", **error}):
        found = error_of(document, status)
        assert found is not None
        assert (type(found), words in found.detail) == (kind, True)
        assert "secret" not in found.detail
        assert [one.pointer for one in found.problems] == (
            ["/logit_bias"] if "param" in error else []
        )


@pytest.mark.parametrize("document", [{"choices": []}, [], None, {"error": "text"}])
def test_what_is_no_error_of_vllm_is_none(document: object) -> None:
    assert error_of(document, 400) is None
