"""A tier's stream: its lines, however they are cut on the way, and each way in which it breaks off."""

import json
from collections.abc import Iterator

import pytest

from contracts.http_errors import DeadlineExceeded, InvalidInput, ModelFailed
from contracts.prediction import PredictRequest, TierAnswer, parse_request
from contracts.streaming import (
    MAX_LINE_BYTES,
    Delta,
    line_of,
    parse_tier_request,
    read_stream,
)
from tests.fixtures.problems import assert_request_problems

ANSWER = TierAnswer(
    outputs=({"generated_text": "grün\n"}, {"generated_text": "🎈"}),
    version="f00dfeed0000",
    elapsed_ms=1.5,
)
DELTAS = (
    Delta(index=0, text="grü"),
    Delta(index=1, text="🎈"),
    Delta(index=0, text="n\n"),
)
LINES = b"".join(line_of(item) for item in (*DELTAS, ANSWER))
EVENT = {"inputs": ["a"], "parameters": {}, "deadline_ms": 900}


def test_a_line_is_one_line_of_json() -> None:
    assert [json.loads(line) for line in LINES.splitlines()] == [
        {"delta": {"index": 0, "text": "grü"}},
        {"delta": {"index": 1, "text": "🎈"}},
        {"delta": {"index": 0, "text": "n\n"}},
        {"answer": ANSWER.to_wire()},
    ]
    assert LINES.count(b"\n") == 4
    assert LINES.endswith(b"\n")


def test_a_stream_is_read_alike_however_its_bytes_are_cut() -> None:
    for size in range(1, len(LINES) + 1):
        chunks = [LINES[at : at + size] for at in range(0, len(LINES), size)]
        assert list(read_stream([b"", *chunks, b""])) == [*DELTAS, ANSWER], size


def test_a_delta_is_read_before_the_next_one_is_sent() -> None:
    sent = []

    def chunks() -> Iterator[bytes]:
        for item in (*DELTAS, ANSWER):
            sent.append(item)
            yield line_of(item)

    stream = read_stream(chunks())
    for number, delta in enumerate(DELTAS, 1):
        assert next(stream) == delta
        assert len(sent) == number


def test_the_error_of_a_tier_is_raised_where_it_comes() -> None:
    stream = read_stream([line_of(DELTAS[0]), line_of(DeadlineExceeded("too late"))])
    assert next(stream) == DELTAS[0]
    with pytest.raises(DeadlineExceeded, match="too late"):
        next(stream)


def test_the_buffered_problem_of_a_tier_is_its_error_too() -> None:
    """Show that a line end is not needed behind it: a tier that knows no streams writes none."""
    problem = line_of(InvalidInput("unknown key")).rstrip()
    with pytest.raises(InvalidInput, match="unknown key"):
        list(read_stream([problem]))


@pytest.mark.parametrize(
    ("sent", "words"),
    [
        (b"", "broke off before its last line"),
        (line_of(DELTAS[0]), "broke off before its last line"),
        (LINES[:-2], "broke off, or is not lines of JSON"),
        (b"\xff\n", "broke off, or is not lines of JSON"),
        (b"[]\n", "not one of the contract"),
        (b'{"delta": {"index": -1, "text": "a"}}\n', "not one of the contract"),
        (b'{"delta": {"index": 0}}\n', "not one of the contract"),
        (b'{"answer": {"outputs": []}}\n', "words of the contract"),
        (LINES + line_of(DELTAS[0]), "goes on after its last line"),
        (b" " * (MAX_LINE_BYTES + 1), f"more than {MAX_LINE_BYTES} bytes"),
    ],
)
def test_a_stream_that_is_not_whole_has_failed(sent: bytes, words: str) -> None:
    with pytest.raises(ModelFailed, match=words):
        list(read_stream([sent]))


@pytest.mark.parametrize("stream", [True, False])
def test_a_tier_is_asked_for_a_stream_by_a_key_of_its_own(stream: bool) -> None:
    request = PredictRequest(inputs=("a",), deadline_ms=900, stream=stream)
    assert request.to_wire() == ({**EVENT, "stream": True} if stream else EVENT)
    assert parse_tier_request({**EVENT, "stream": stream}) == request
    assert parse_tier_request(EVENT) == PredictRequest(inputs=("a",), deadline_ms=900)


def test_a_stream_that_is_neither_wanted_nor_not_is_refused() -> None:
    with pytest.raises(InvalidInput) as raised:
        parse_tier_request({**EVENT, "stream": "yes"})
    assert_request_problems(raised.value.problems, ("/stream", "must be true or false"))


def test_the_router_takes_no_such_key() -> None:
    with pytest.raises(InvalidInput, match="/stream: unknown key"):
        parse_request({**EVENT, "stream": True})


def test_what_is_no_object_is_refused_as_ever() -> None:
    with pytest.raises(InvalidInput, match="not a JSON object"):
        parse_tier_request(["stream"])
