"""The streams of tiers, read by real boto3 clients from servers that send AWS's event streams."""

import json
import threading
from dataclasses import replace
from functools import partial

import pytest

from contracts.http_errors import (
    DeadlineExceeded,
    InvalidInput,
    ModelFailed,
    ServingError,
    TierUnavailable,
)
from contracts.limits import SAGEMAKER_WHOLE_S
from contracts.prediction import TierAnswer
from contracts.routes import Target
from contracts.streaming import Delta, line_of
from contracts.tasks import Tier
from functions.router.targets.backends import LambdaBackend, SageMakerBackend, Written
from functions.router.targets.failures import TargetFailed
from functions.router.targets.health import Condition
from tests.fixtures.fake_aws import BACKENDS, REQUEST, client
from tests.fixtures.router_app import target
from tests.functions.router.openai.streaming_server import (
    Script,
    broken,
    complete,
    part,
    streaming,
)

ANSWER = TierAnswer(outputs=({"generated_text": "grün"},), version="f00dfeed0000", elapsed_ms=2.0)
ITEMS = (Delta(index=0, text="gr"), Delta(index=0, text="ün"), ANSWER)
LINES = b"".join(line_of(item) for item in ITEMS)
ASKED = replace(REQUEST, stream=True)
TIERS = pytest.mark.parametrize("tier", list(Tier))


def opened(script: Script, tier: Tier, timeout_s: int = 20) -> Written:
    backend = BACKENDS[tier](partial(client, script.address))
    return backend.stream(target(tier, timeout_s=timeout_s), ASKED)


def failure(script: Script, tier: Tier, timeout_s: int = 20) -> tuple[list[Delta], Exception]:
    """Return the deltas that come before a failure, and the failure."""
    found: list[Delta] = []
    with streaming(script):
        try:
            for item in opened(script, tier, timeout_s):
                assert isinstance(item, Delta)
                found.append(item)
        except (ServingError, TargetFailed) as error:
            return found, error
    raise AssertionError("the stream did not fail")


@pytest.mark.parametrize(
    ("tier", "path"),
    [
        (Tier.CPU, "/2021-11-15/functions/the-cpu/response-streaming-invocations"),
        (Tier.GPU, "/endpoints/the-gpu/invocations-response-stream"),
    ],
)
@pytest.mark.parametrize("size", [1, 7, len(LINES)])
def test_a_tier_is_asked_for_a_stream_and_read_however_it_is_cut(
    tier: Tier, path: str, size: int
) -> None:
    steps: list[bytes | threading.Event] = []
    steps += [part(tier, LINES[at : at + size]) for at in range(0, len(LINES), size)]
    if tier is Tier.CPU:
        steps.append(complete())
    with streaming(Script(steps)) as script:
        assert tuple(opened(script, tier)) == ITEMS
    wanted = {"inputs": ["a text"], "parameters": {"top_k": 1}, "stream": True}
    assert script.seen == [(path, wanted)]


@TIERS
def test_a_whole_answer_that_may_take_minutes_is_read_from_a_stream(tier: Tier) -> None:
    request = replace(REQUEST, deadline_ms=SAGEMAKER_WHOLE_S * 1000)
    with streaming(Script([part(tier, LINES)])) as script:
        backend = BACKENDS[tier](partial(client, script.address))
        assert backend.predict(target(tier, timeout_s=400), request) == ANSWER
    ((_, body),) = script.seen
    assert body == replace(request, stream=True).to_wire()


@TIERS
def test_a_delta_is_there_before_the_next_one_is_sent(tier: Tier) -> None:
    go_on = threading.Event()
    sent: list[bytes | threading.Event] = [part(tier, line_of(ITEMS[0])), go_on]
    with streaming(Script([*sent, part(tier, line_of(ANSWER))])) as script:
        stream = opened(script, tier)
        assert next(stream) == ITEMS[0]
        assert not go_on.is_set()
        go_on.set()
        assert list(stream) == [ANSWER]


@TIERS
def test_a_stream_that_nobody_reads_on_ends_its_connection(tier: Tier) -> None:
    with streaming(Script([part(tier, line_of(ITEMS[0])), threading.Event()])) as script:
        stream = opened(script, tier)
        next(stream)
        stream.close()
        assert script.left.wait(20)


@pytest.mark.parametrize(
    ("tier", "last", "cut", "error", "words"),
    [
        (Tier.CPU, complete(ErrorCode="Unhandled", ErrorDetails="{}"), False, ModelFailed, "log"),
        (
            Tier.CPU,
            complete(ErrorCode="Unhandled", ErrorDetails="Task timed out after 3.00 seconds"),
            False,
            DeadlineExceeded,
            "out of its time",
        ),
        (Tier.CPU, complete(), False, ModelFailed, "broke off"),
        (Tier.GPU, b"", False, ModelFailed, "broke off"),
        (Tier.CPU, b"\0\0\0\1", True, TierUnavailable, "broke off its answer"),
        (Tier.GPU, b"\0\0\0\1", True, TierUnavailable, "broke off its answer"),
        (Tier.CPU, b"\0" * 16, False, TierUnavailable, "broke off its answer"),
        (Tier.GPU, broken("ModelStreamError", Message="x"), False, TierUnavailable, "broke off"),
        (Tier.GPU, broken("InternalStreamFailure"), False, TierUnavailable, "broke off"),
        (Tier.GPU, part(Tier.GPU, line_of(InvalidInput("no"))), False, InvalidInput, "no"),
    ],
)
def test_a_stream_that_fails_says_so_behind_what_was_written(
    tier: Tier, last: bytes, cut: bool, error: type[ServingError], words: str
) -> None:
    steps = [part(tier, line_of(ITEMS[0])), *([last] if last else [])]
    written, raised = failure(Script(steps, cut=cut), tier)
    found = raised.error if isinstance(raised, TargetFailed) else raised
    assert written == [ITEMS[0]]
    assert (type(found), words in str(found)) == (error, True), found


@TIERS
@pytest.mark.slow
def test_a_stream_that_stands_still_is_late(tier: Tier) -> None:
    script = Script([part(tier, line_of(ITEMS[0])), threading.Event()])
    written, raised = failure(script, tier, timeout_s=1)
    assert isinstance(raised, TargetFailed)
    assert (written, type(raised.error)) == ([ITEMS[0]], DeadlineExceeded)


def test_a_refusal_means_what_it_means_for_whole_answers() -> None:
    body = json.dumps({"Reason": "ConcurrentInvocationLimitExceeded"}).encode()
    headers = {"x-amzn-ErrorType": "TooManyRequestsException"}
    written, raised = failure(Script([body], status=429, headers=headers), Tier.CPU)
    assert isinstance(raised, TargetFailed)
    assert (written, raised.meaning.condition) == ([], Condition.THROTTLED)


def test_an_endpoint_that_is_missing_streams_under_its_other_name() -> None:
    def released(target: Target) -> str:
        return "the-gpu-before"

    with streaming(Script([part(Tier.GPU, LINES)], absent={"the-gpu"})) as script:
        backend = SageMakerBackend(partial(client, script.address), released)
        for _ in range(2):
            assert tuple(backend.stream(target(Tier.GPU), ASKED)) == ITEMS
    endpoints = [path.split("/")[2] for path, _ in script.seen]
    assert endpoints == ["the-gpu", "the-gpu-before", "the-gpu-before"]


@pytest.mark.parametrize(("own", "asked"), [("the-cpu:7", "the-cpu%3A7"), ("", "the-cpu")])
def test_a_wanted_version_is_asked_by_its_own_address(own: str, asked: str) -> None:
    with streaming(Script([part(Tier.CPU, LINES), complete()])) as script:
        backend = LambdaBackend(partial(client, script.address), lambda target, version: own)
        stream = backend.stream(target(Tier.CPU), replace(ASKED, version=ANSWER.version))
        assert tuple(stream) == ITEMS
    assert [path.split("/")[3] for path, _ in script.seen] == [asked]
