"""Callers who leave before a tier may have answered: what hangs is found, and what starts is not taken for it."""

import heapq
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import pytest

from contracts.limits import LAMBDA_INIT_S, MAX_TIER_TIMEOUT_S
from contracts.tasks import Tier
from functions.router.targets.health import (
    HOLDS_S,
    LEAST_RUN_S,
    SILENT_TO_OPEN,
    Condition,
    States,
    longest_s,
)
from tests.fixtures.router_app import target
from tests.functions.router.targets.test_health import Clock

TARGET = target(Tier.CPU)
BEGAN = 1000.0


@dataclass(slots=True, kw_only=True)
class Callers:
    """Callers of one target, each of whom waits `patience_s`, and a target that answers at times of its own."""

    every_s: float
    patience_s: float
    # Returns when a request that is sent at a time is answered.
    answered_at: Callable[[float], float]
    expected_ms: float | None = 20.0

    def conditions(self, until: float) -> Iterator[tuple[float, Condition]]:
        """Yield the condition of the target whenever a caller had an answer or has left."""
        clock = Clock()
        states, ends = States(clock), list[tuple[float, float, bool]]()
        times = [BEGAN + i * self.every_s for i in range(int((until - BEGAN) / self.every_s))]
        for sent in [*times, float("inf")]:
            while ends and ends[0][0] <= sent:
                clock.now, begun, served = heapq.heappop(ends)
                if served:
                    states.answer(TARGET, None)
                else:
                    states.give_up(TARGET, begun, longest_s(TARGET, self.expected_ms))
                yield clock.now, states.of(TARGET).condition
            clock.now = sent
            if sent < float("inf") and states.claim(TARGET):
                at = self.answered_at(sent)
                served = at <= sent + self.patience_s
                heapq.heappush(ends, (min(at, sent + self.patience_s), sent, served))


def starting(init_s: float) -> Callable[[float], float]:
    """Return when a function answers whose first environment starts with the first request."""
    return lambda sent: max(sent, BEGAN + init_s) + 0.02


def hangs(sent: float) -> float:
    return float("inf")


@pytest.mark.parametrize("init_s", [0.35, 2.0, LAMBDA_INIT_S])
@pytest.mark.parametrize("patience_s", [0.05, 0.5, 3.0])
@pytest.mark.parametrize("every_s", [0.02, 0.5, 7.0])
@pytest.mark.parametrize("expected_ms", [20.0, None])
def test_a_start_of_any_length_that_lambda_allows_never_opens_the_breaker(
    init_s: float, patience_s: float, every_s: float, expected_ms: float | None
) -> None:
    callers = Callers(
        every_s=every_s,
        patience_s=patience_s,
        answered_at=starting(init_s),
        expected_ms=expected_ms,
    )
    found = [condition for _, condition in callers.conditions(BEGAN + 60)]
    assert len(found) >= 8
    assert set(found) == {Condition.READY}


@pytest.mark.parametrize("patience_s", [0.05, 0.5, 3.0])
@pytest.mark.parametrize("every_s", [0.02, 0.5, 2.0])
@pytest.mark.parametrize("expected_ms", [20.0, 4_000.0, None])
def test_a_tier_that_hangs_is_left_alone_however_little_time_its_callers_have(
    patience_s: float, every_s: float, expected_ms: float | None
) -> None:
    callers = Callers(
        every_s=every_s, patience_s=patience_s, answered_at=hangs, expected_ms=expected_ms
    )
    opened = next(
        at for at, condition in callers.conditions(BEGAN + 120) if condition is Condition.FAILING
    )
    bound_s = longest_s(TARGET, expected_ms)
    # Of the first that leaves after the bound, and at the earliest of the third.
    latest = BEGAN + max(bound_s, SILENT_TO_OPEN * every_s) + patience_s + every_s
    assert BEGAN + bound_s < opened <= latest


def test_callers_who_come_so_seldom_that_each_finds_a_function_that_starts_are_no_silence() -> None:
    callers = Callers(every_s=60, patience_s=0.5, answered_at=lambda sent: sent + 2)
    assert {condition for _, condition in callers.conditions(BEGAN + 3600)} == {Condition.READY}


def test_an_answer_ends_a_silence_and_callers_of_before_it_do_not_count() -> None:
    clock = Clock()
    states = States(clock)
    for _ in range(20):
        clock.now += 1
        sent = clock.now - 0.5
        states.give_up(TARGET, sent, 10)
        states.answer(TARGET, None)
        # It was sent before that answer.
        states.give_up(TARGET, sent, 10)
        assert states.of(TARGET).silence is None


def opened() -> tuple[Clock, States]:
    """Return states of a target that has not answered for so long that its breaker is open."""
    clock = Clock()
    states = States(clock)
    for _ in range(SILENT_TO_OPEN + 1):
        states.give_up(TARGET, clock.now - 0.5, 1)
        clock.now += 0.5
    assert states.of(TARGET).condition is Condition.FAILING
    return clock, states


def test_callers_who_were_sent_before_the_breaker_opened_do_not_hold_it_longer() -> None:
    clock, states = opened()
    until = states.of(TARGET).until
    for _ in range(50):
        clock.now += 0.01
        states.give_up(TARGET, states.of(TARGET).seen - 0.1, 1)
    assert states.of(TARGET).until == until


def test_a_trial_without_an_answer_has_failed_and_one_with_an_answer_closes_it() -> None:
    clock, states = opened()
    held = []
    for _ in range(3):
        clock.now = states.of(TARGET).until
        assert states.claim(TARGET)
        sent = clock.now
        clock.now += 0.5
        states.give_up(TARGET, sent, 1)
        held.append(states.of(TARGET).until - clock.now)
    hold_s = HOLDS_S[Condition.FAILING]
    assert held == [2 * hold_s, 4 * hold_s, 6 * hold_s]
    clock.now = states.of(TARGET).until
    assert states.claim(TARGET)
    states.answer(TARGET, None)
    assert states.of(TARGET) == replace(states.of(TARGET), condition=Condition.READY, silence=None)


def test_how_long_a_tier_may_be_silent_is_its_start_and_many_times_what_is_expected() -> None:
    gpu = target(Tier.GPU)
    assert longest_s(gpu, None) == gpu.timeout_s
    assert longest_s(gpu, 20.0) == LEAST_RUN_S
    assert longest_s(gpu, 500.0) == 5.0
    assert longest_s(gpu, 1e6) == gpu.timeout_s
    assert longest_s(TARGET, 20.0) == LAMBDA_INIT_S + LEAST_RUN_S


def test_a_function_that_may_write_for_minutes_is_not_silent_for_so_long() -> None:
    # It has no queue, and what it writes ends by the deadline of its caller.
    cpu, gpu = (target(tier, timeout_s=400) for tier in Tier)
    assert longest_s(cpu, None) == LAMBDA_INIT_S + MAX_TIER_TIMEOUT_S
    assert longest_s(gpu, None) == 400
