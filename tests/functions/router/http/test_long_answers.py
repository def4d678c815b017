"""Texts that are written for minutes: behind the front of streams, whose gateway ends a response that pauses for five.

The loop's clock skips the minutes in which the tier writes.
"""

import json
import logging
import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from typing import Any

import httpx2
import openai
import pytest
from openai import OpenAI

from contracts.http_errors import (
    DeadlineExceeded,
    ModelFailed,
    ServingError,
    TierUnavailable,
    TooLarge,
)
from contracts.limits import (
    MAX_CPU_WRITING_S,
    STREAM_IDLE_S,
    STREAM_INTEGRATION_TIMEOUT_S,
    STREAM_QUIET_S,
    STREAM_REQUEST_S,
)
from contracts.prediction import PredictRequest, TierAnswer
from contracts.routes import Target
from contracts.streaming import Delta
from contracts.tasks import Tier
from functions.router.http.app import create_app
from functions.router.http.front import Front
from functions.router.http.middleware import EVENT_HEADERS
from functions.router.http.rest_adapter import adapt_to_rest
from functions.router.targets.backends import Written
from tests.fixtures.problems import assert_names
from tests.fixtures.router_app import (
    ASSETS,
    KEY,
    URLS,
    FakeTier,
    Rows,
    log_line,
    target,
)
from tests.functions.hurried_loop import HurriedLoop, Wait
from tests.functions.router.openai.deployment import ALL, WRITER
from tests.functions.router.openai.writing_tier import rest_event

PREDICT = "/v1/models/writer/predict"
TEXT = {
    "generated_text": "ONE TWO",
    "finish_reason": "eos_token",
    "generated_tokens": 7,
    "tokens": 2,
    "truncated": False,
}
SLOW = replace(
    WRITER, targets={Tier.CPU: target(Tier.CPU, max_chars=1000, timeout_s=MAX_CPU_WRITING_S)}
)
ROUTES = replace(ALL, models={**ALL.models, "writer": SLOW})
CORS = replace(ROUTES, cors_origins=("https://app.example",))


@dataclass(slots=True)
class SlowTier(FakeTier):
    """A tier that pauses behind its first `words` words, and then writes the rest or raises `breaks`."""

    wait: Wait = field(default_factory=Wait)
    words: int = 0
    breaks: Exception | None = None

    def predict(self, target: Target, request: PredictRequest) -> TierAnswer:
        given = FakeTier.predict(self, target, request)
        self.wait.wait()
        if self.breaks:
            raise self.breaks
        return replace(given, outputs=(TEXT,))

    def stream(self, target: Target, request: PredictRequest) -> Written:
        for word in range(2):
            if word == self.words:
                answer = self.predict(target, request)
            yield Delta(index=0, text=("ONE", " TWO")[word])
        yield answer


@dataclass(slots=True)
class Gateway:
    """The router behind a REST API: `ask` returns what comes of it, each piece with the time at which it does."""

    tier: SlowTier
    loop: HurriedLoop
    handler: Callable[[Any, object], Any]

    def ask(
        self, path: str, body: Mapping[str, Any], minutes: float = math.inf
    ) -> tuple[dict[str, Any], list[tuple[float, bytes]]]:
        """Ask a tier that pauses for so long."""
        begun = self.loop.time()
        if minutes < math.inf:
            self.loop.call_later(minutes * 60, self.tier.wait.end)
        headers = {"authorization": f"Bearer {KEY}", "origin": "https://app.example"}
        given = self.handler(rest_event("POST", path, json.dumps(body), headers=headers), None)
        pieces = [(self.loop.time() - begun, piece) for piece in given.chunks]
        return dict(given.prelude), pieces


Deployed = Callable[[SlowTier], Gateway]


@pytest.fixture
def deployed() -> Iterator[Deployed]:
    with ExitStack() as stack:

        def made(tier: SlowTier) -> Gateway:
            loop = HurriedLoop(tier.wait)
            stack.callback(loop.close)
            stack.callback(lambda: loop.run_until_complete(loop.shutdown_default_executor()))
            stack.callback(tier.wait.end)
            front = Front(
                streams=True,
                longest_s=STREAM_REQUEST_S,
                gateway_s=STREAM_INTEGRATION_TIMEOUT_S,
                urls=URLS,
            )
            app = create_app(CORS, {Tier.CPU: tier}, Rows(), ASSETS, front=front)
            return Gateway(tier=tier, loop=loop, handler=adapt_to_rest(app, loop))

        yield made


@pytest.mark.parametrize("minutes", [0.4, 3.9, 4.1, 13.9])
def test_a_whole_answer_that_takes_minutes_arrives(deployed: Deployed, minutes: float) -> None:
    gateway = deployed(SlowTier())
    prelude, pieces = gateway.ask(PREDICT, {"inputs": ["one two"]}, minutes)
    assert prelude["statusCode"] == 200
    assert prelude["headers"]["content-type"] == "application/json"
    assert prelude["headers"]["access-control-allow-origin"] == "https://app.example"
    body = json.loads(b"".join(piece for _, piece in pieces))
    assert body["outputs"] == [TEXT]
    times = [0.0, *(at for at, _ in pieces)]
    assert max(b - a for a, b in zip(times, times[1:], strict=False)) < STREAM_IDLE_S
    assert times[-1] == pytest.approx(minutes * 60, abs=30)
    blanks = [piece for _, piece in pieces if not piece.strip()]
    assert blanks == [b" "] * int(minutes * 60 // STREAM_QUIET_S)
    ((_, request),) = gateway.tier.requests
    # All of the tier's own time, since the gateway has more.
    assert request.deadline_ms == MAX_CPU_WRITING_S * 1000


def test_a_tier_that_never_answers_is_told_of_in_the_body(
    deployed: Deployed, caplog: pytest.LogCaptureFixture
) -> None:
    gateway = deployed(SlowTier())
    with caplog.at_level(logging.INFO, "turnout.access"):
        prelude, pieces = gateway.ask(PREDICT, {"inputs": ["one two"]})
    assert prelude["statusCode"] == 200
    problem = json.loads(b"".join(piece for _, piece in pieces))
    assert (problem["status"], problem["code"]) == (504, "deadline_exceeded")
    assert pieces[-1][0] < STREAM_REQUEST_S
    line = log_line(caplog)
    assert (line["errors"], line["problem"]) == (1, "deadline_exceeded")
    assert (line["status"], line["sent_status"]) == (504, 200)
    assert "first_ms" not in line


@pytest.mark.parametrize(
    ("error", "status", "failed"),
    [(TierUnavailable("asleep", retry_after_s=90), 503, 1), (TooLarge("too many"), 413, 0)],
)
@pytest.mark.parametrize("path", [PREDICT, "/v1/completions"])
def test_what_a_silence_takes_from_the_head_of_a_refusal_is_in_its_body_and_its_line(
    deployed: Deployed,
    caplog: pytest.LogCaptureFixture,
    path: str,
    error: ServingError,
    status: int,
    failed: int,
) -> None:
    gateway = deployed(SlowTier(breaks=error))
    asked = {"inputs": ["a"]} if path == PREDICT else {"model": "writer", "prompt": "one two"}
    with caplog.at_level(logging.INFO, "turnout.access"):
        prelude, pieces = gateway.ask(path, asked, minutes=5)
    line = log_line(caplog)
    body = json.loads(b"".join(piece for _, piece in pieces))
    told = body.get("error", body)
    # OpenAI's API knows no 413.
    shown = 400 if "error" in body and status == 413 else status
    assert (prelude["statusCode"], told["status"], told["code"]) == (200, shown, error.code)
    assert told.get("retry_after_s") == error.retry_after_s
    assert (line["status"], line["sent_status"], line["errors"]) == (shown, 200, failed)
    assert prelude["headers"]["x-request-id"] == line["request_id"]


def test_an_answer_that_comes_late_has_the_status_that_was_sent(
    deployed: Deployed, caplog: pytest.LogCaptureFixture
) -> None:
    gateway = deployed(SlowTier())
    with caplog.at_level(logging.INFO, "turnout.access"):
        gateway.ask(PREDICT, {"inputs": ["one two"]}, minutes=5)
    line = log_line(caplog)
    assert (line["status"], "sent_status" in line, line["errors"]) == (200, False, 0)


def test_the_deadline_of_a_request_counts_where_it_is_sooner(deployed: Deployed) -> None:
    gateway = deployed(SlowTier())
    _, pieces = gateway.ask(PREDICT, {"inputs": ["a"], "deadline_ms": 400_000})
    problem = json.loads(b"".join(piece for _, piece in pieces))
    assert_names(problem["detail"], ("400000 ms",))
    assert pieces[-1][0] == pytest.approx(400, abs=30)
    ((_, request),) = gateway.tier.requests
    assert 300_000 < (request.deadline_ms or 0) < 400_000


def test_a_failure_before_any_silence_has_its_status(
    deployed: Deployed, caplog: pytest.LogCaptureFixture
) -> None:
    gateway = deployed(SlowTier(breaks=DeadlineExceeded("too late")))
    with caplog.at_level(logging.INFO, "turnout.access"):
        prelude, _ = gateway.ask(PREDICT, {"inputs": ["a"]}, minutes=1)
    # There was no silence, so the status tells it.
    assert prelude["statusCode"] == 504
    assert "unfinished" not in log_line(caplog)


@pytest.mark.parametrize(("minutes", "status"), [(1, 500), (5, 200)])
def test_a_router_that_crashes_says_so_in_the_body(
    deployed: Deployed, minutes: float, status: int
) -> None:
    gateway = deployed(SlowTier(breaks=ZeroDivisionError("secret")))
    prelude, pieces = gateway.ask(PREDICT, {"inputs": ["a"]}, minutes)
    assert prelude["statusCode"] == status
    problem = json.loads(b"".join(piece for _, piece in pieces))
    assert (problem["status"], problem["code"]) == (500, "internal_error")
    assert "secret" not in problem["detail"]


class Replayed(httpx2.BaseTransport):
    """A transport that answers by what came through the gateway."""

    def __init__(self, prelude: Mapping[str, Any], pieces: list[tuple[float, bytes]]) -> None:
        self.prelude, self.content = prelude, b"".join(piece for _, piece in pieces)

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        return httpx2.Response(
            self.prelude["statusCode"],
            headers=self.prelude["headers"],
            content=self.content,
            request=request,
        )


def texts(prelude: Mapping[str, Any], pieces: list[tuple[float, bytes]]) -> list[str]:
    """Return the texts that OpenAI's client reads in a stream."""
    http = httpx2.Client(transport=Replayed(prelude, pieces))
    client = OpenAI(base_url="https://b/v1", api_key=KEY, max_retries=0, http_client=http)
    with client:
        stream = client.completions.create(model="writer", prompt="one two", stream=True)
        return [one.choices[0].text for one in stream]


STREAM = {"model": "writer", "prompt": "one two", "stream": True}


@pytest.mark.parametrize("words", [0, 1])
def test_a_stream_that_pauses_for_minutes_has_comments(deployed: Deployed, words: int) -> None:
    gateway = deployed(SlowTier(words=words))
    prelude, pieces = gateway.ask("/v1/completions", STREAM, minutes=9)
    assert prelude["headers"]["content-type"].startswith("text/event-stream")
    assert prelude["headers"].items() >= {k.lower(): v for k, v in EVENT_HEADERS.items()}.items()
    assert [piece for _, piece in pieces].count(b":\n\n") == 2
    assert texts(prelude, pieces) == ["ONE", " TWO", ""]


@pytest.mark.parametrize(
    ("breaks", "says"),
    [(ModelFailed("it crashed"), "it crashed"), (ZeroDivisionError("secret"), "its log says why")],
)
def test_a_stream_that_fails_after_minutes_of_silence_ends_in_an_error(
    deployed: Deployed, breaks: Exception, says: str
) -> None:
    gateway = deployed(SlowTier(breaks=breaks))
    prelude, pieces = gateway.ask("/v1/completions", STREAM, minutes=5)
    assert prelude["statusCode"] == 200
    with pytest.raises(openai.APIError, match=says):
        texts(prelude, pieces)


def test_a_whole_answer_in_the_dialect_that_fails_late_has_its_error(deployed: Deployed) -> None:
    gateway = deployed(SlowTier(breaks=ModelFailed("it crashed")))
    _, pieces = gateway.ask("/v1/completions", {**STREAM, "stream": False}, minutes=5)
    body = json.loads(b"".join(piece for _, piece in pieces))
    assert body["error"]["code"] == "model_failed"
