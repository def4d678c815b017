"""Streams of targets: tried elsewhere until something is written, and never after that."""

import asyncio
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from contracts.http_errors import (
    DeadlineExceeded,
    InvalidInput,
    ModelFailed,
    ServingError,
    TierUnavailable,
)
from contracts.prediction import PredictRequest, TierAnswer
from contracts.routes import Cascade, Route, Target
from contracts.streaming import Delta
from contracts.tasks import Task, Tier
from functions.router.answering.attempts import Attempts
from functions.router.answering.streams import Begun, Reading, begin
from functions.router.targets.backends import Written
from functions.router.targets.failures import CUT_OFF, THROTTLED, failed
from functions.router.targets.health import Condition, States
from tests.fixtures.router_app import INTENTS, FakeTier, target
from tests.functions.event_loop import run_coroutine
from tests.functions.router.answering.deployment import Clock

CPU, GPU = Tier.CPU, Tier.GPU
ROUTE = replace(INTENTS, targets={CPU: target(CPU), GPU: target(GPU)})
DELTAS = (Delta(index=0, text="a"), Delta(index=0, text="b"))
ANSWER = TierAnswer(outputs=({"generated_text": "ab"},), version="cpu0000000000", elapsed_ms=4.0)
WHOLE = (*DELTAS, ANSWER)
Step = Delta | TierAnswer | Exception | threading.Event


@dataclass(slots=True)
class Writes(FakeTier):
    """A tier that yields its steps, raises them, or waits for them; `asked` has its requests, `closed` its end."""

    steps: Sequence[Step] = WHOLE
    asked: list[PredictRequest] = field(default_factory=list)
    closed: threading.Event = field(default_factory=threading.Event)

    def stream(self, target: Target, request: PredictRequest) -> Written:
        self.asked.append(request)
        try:
            for step in self.steps:
                if isinstance(step, Exception):
                    raise step
                if isinstance(step, threading.Event):
                    step.wait(20)
                else:
                    yield step
        finally:
            self.closed.set()


@dataclass(slots=True)
class Deployment:
    cpu: Writes = field(default_factory=Writes)
    gpu: Writes = field(default_factory=Writes)
    clock: Clock = field(default_factory=Clock)
    log: dict[str, Any] = field(default_factory=dict)
    route: Route = ROUTE
    attempts: Attempts = field(init=False)

    def __post_init__(self) -> None:
        backends = {CPU: self.cpu, GPU: self.gpu}
        self.attempts = Attempts(backends, States(self.clock), clock=self.clock)

    async def begin(self, within_s: float = 20, **options: Any) -> Begun:
        request = PredictRequest(**{"inputs": ("a text",), **options})
        due = replace(request, deadline=self.clock() + within_s)
        return await begin(self.attempts, due, self.route, self.log)

    def ask(self, **options: Any) -> tuple[Begun, list[Delta | TierAnswer], ServingError | None]:
        """Return a stream, what it has written, and the error that ended it."""

        async def read() -> tuple[Begun, list[Delta | TierAnswer], ServingError | None]:
            begun = await self.begin(**options)
            found = []
            try:
                async for item in begun.items:
                    found.append(item)
            except ServingError as error:
                return begun, found, error
            return begun, found, None

        return run_coroutine(read())


def test_what_a_tier_writes_comes_with_what_it_was_asked() -> None:
    both = Deployment()
    begun, written, error = both.ask()
    assert (tuple(written), error) == (WHOLE, None)
    assert (begun.target.tier, begun.reason) == (CPU, "fits_cpu")
    given = begun.answer(ANSWER)
    assert (given.answer, given.stands_in, given.degraded) == (ANSWER, False, False)
    (request,) = both.cpu.asked
    assert request.stream
    assert 0 < (request.deadline_ms or 0) <= 20_000
    assert both.log == {"tier": CPU, "reason": "fits_cpu"}
    state = both.attempts.states.of(ROUTE.targets[CPU])
    assert (state.condition, bool(state.token_ms)) == (Condition.READY, True)


def test_a_stream_is_not_escalated_since_its_words_are_out_before_it_is_judged() -> None:
    cascade = Cascade(
        threshold=0.8, parameters={}, rows=500, kept=0.7, lost=0.0, bound=0.01, assurance=0.95
    )
    unsure = replace(ANSWER, outputs=({"generated_text": "ab", "confidence": 0.1},))
    both = Deployment(
        cpu=Writes(steps=(*DELTAS, unsure)),
        route=replace(ROUTE, task=Task.TEXT_GENERATION, cascade=cascade),
    )
    begun, written, error = both.ask()
    assert (tuple(written), error, both.gpu.asked) == ((*DELTAS, unsure), None, [])
    assert (begun.target.tier, begun.reason) == (CPU, "fits_cpu")


def test_a_tier_that_fails_before_it_writes_is_stood_in_for() -> None:
    both = Deployment(cpu=Writes(steps=[failed(THROTTLED, CPU)]))
    begun, written, error = both.ask()
    assert (begun.target.tier, tuple(written), error) == (GPU, WHOLE, None)
    assert (begun.reason, begun.stands_in) == ("cpu_throttled", True)
    assert both.log == {"tier": GPU, "reason": "cpu_throttled", "attempts": 2}
    assert both.cpu.closed.is_set()


@pytest.mark.parametrize(
    ("error", "condition"),
    [
        (failed(CUT_OFF, CPU), Condition.FAILING),
        (ModelFailed("crashed"), Condition.FAILING),
        (InvalidInput("too deep"), Condition.READY),
    ],
)
def test_a_tier_that_fails_once_it_has_written_is_not_stood_in_for(
    error: Exception, condition: Condition
) -> None:
    both = Deployment(cpu=Writes(steps=[DELTAS[0], error]))
    for _ in range(5):
        _, written, raised = both.ask()
        assert written == [DELTAS[0]]
        assert raised is getattr(error, "error", error)
    assert both.gpu.asked == []
    assert both.attempts.states.of(ROUTE.targets[CPU]).condition is condition


def test_a_tier_that_was_asleep_is_ready_once_it_writes() -> None:
    both = Deployment()
    states, gpu = both.attempts.states, ROUTE.targets[GPU]
    states.fail(gpu, Condition.ASLEEP, None, 600)

    async def read() -> None:
        begun = await both.begin(tier=GPU)
        assert states.of(gpu).condition is Condition.READY
        begun.reading.close()

    both.clock.ahead = 61
    run_coroutine(read())


def test_where_no_tier_writes_the_error_is_raised_before_any_answer() -> None:
    busy = {tier: Writes(steps=[failed(THROTTLED, tier)]) for tier in Tier}
    both = Deployment(cpu=busy[CPU], gpu=busy[GPU])
    with pytest.raises(TierUnavailable):
        run_coroutine(both.begin())


def test_another_version_than_the_wanted_one_ends_in_an_error() -> None:
    both = Deployment()
    _, written, raised = both.ask(version="gpu0000000000")
    assert (tuple(written), type(raised)) == (DELTAS, TierUnavailable)
    assert both.cpu.asked == []


def test_the_deadline_ends_a_stream_that_has_begun() -> None:
    both = Deployment(cpu=Writes(steps=[DELTAS[0], threading.Event(), ANSWER]))

    async def read() -> None:
        begun = await both.begin()
        assert await anext(begun.items) == DELTAS[0]
        both.clock.ahead = 60
        with pytest.raises(DeadlineExceeded):
            await anext(begun.items)
        # Its thread waits on, and ends the tier's part once it has an item.
        begun.reading.close()
        both.cpu.steps[1].set()  # type: ignore[union-attr]

    run_coroutine(read())
    assert both.cpu.closed.wait(20)


def test_a_stream_that_is_left_at_rest_ends_at_once() -> None:
    both = Deployment()

    async def read() -> None:
        begun = await both.begin()
        await anext(begun.items)
        begun.reading.close()

    run_coroutine(read())
    assert both.cpu.closed.is_set()


def test_a_caller_who_leaves_before_anything_is_written_ends_the_tiers_part() -> None:
    waits = threading.Event()
    both = Deployment(cpu=Writes(steps=[waits, *WHOLE]))

    async def read() -> None:
        task = asyncio.ensure_future(both.begin())
        while not both.cpu.asked:
            await asyncio.sleep(0.001)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        waits.set()

    run_coroutine(read())
    assert both.cpu.closed.wait(20)


def test_reading_is_closed_twice_without_harm() -> None:
    reading = Reading(Writes().stream(target(CPU), PredictRequest(inputs=("a",))))
    assert reading.next() == DELTAS[0]
    reading.close()
    reading.close()
