"""The states of targets, learned from answers, on a clock of the tests."""

from dataclasses import dataclass

import pytest

from contracts.tasks import Tier
from functions.router.targets.health import (
    FAILURES_TO_OPEN,
    HOLDS_S,
    LONGEST_HOLD_S,
    Condition,
    States,
)
from tests.fixtures.router_app import target

TARGET = target(Tier.GPU)


@dataclass(slots=True)
class Clock:
    now: float = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def states(clock: Clock) -> States:
    return States(clock)


def claimed(states: States, *, times: int = 3) -> int:
    """Return how many of several requests may try the target now."""
    return sum(states.claim(TARGET) for _ in range(times))


def test_nothing_is_known_of_a_target_at_first_and_it_is_asked(states: States) -> None:
    assert states.of(TARGET).condition is Condition.READY
    assert claimed(states) == 3


@pytest.mark.parametrize(
    "condition", [Condition.ASLEEP, Condition.WAKING, Condition.THROTTLED, Condition.MISSING]
)
def test_one_request_tries_a_target_that_was_not_ready_once_a_hold(
    states: States, clock: Clock, condition: Condition
) -> None:
    states.fail(TARGET, condition, None)
    for _ in range(3):
        assert claimed(states) == 0
        clock.now += HOLDS_S[condition]
        assert claimed(states) == 1
    states.answer(TARGET, None)
    assert states.of(TARGET).condition is Condition.READY
    assert claimed(states) == 3


def test_a_target_that_says_how_long_it_is_busy_is_left_alone_so_long(
    states: States, clock: Clock
) -> None:
    states.fail(TARGET, Condition.THROTTLED, 7)
    clock.now += 6.9
    assert claimed(states) == 0
    clock.now += 0.1
    assert claimed(states) == 1


def test_a_breaker_opens_after_failures_in_a_row_alone(states: States) -> None:
    for _ in range(FAILURES_TO_OPEN - 1):
        states.fail(TARGET, Condition.FAILING, None)
    assert states.of(TARGET).condition is Condition.READY
    states.answer(TARGET, None)
    for _ in range(FAILURES_TO_OPEN - 1):
        states.fail(TARGET, Condition.FAILING, None)
    assert states.of(TARGET).condition is Condition.READY
    states.fail(TARGET, Condition.FAILING, None)
    assert states.of(TARGET).condition is Condition.FAILING
    assert claimed(states) == 0


def test_a_trial_that_fails_opens_the_breaker_for_twice_as_long_up_to_a_minute(
    states: States, clock: Clock
) -> None:
    for _ in range(FAILURES_TO_OPEN):
        states.fail(TARGET, Condition.FAILING, None)
    held = []
    for _ in range(6):
        held.append(states.of(TARGET).until - clock.now)
        clock.now = states.of(TARGET).until
        assert claimed(states) == 1
        states.fail(TARGET, Condition.FAILING, None)
    assert held == [10, 20, 40, LONGEST_HOLD_S, LONGEST_HOLD_S, LONGEST_HOLD_S]
    clock.now = states.of(TARGET).until
    states.answer(TARGET, None)
    assert states.of(TARGET).condition is Condition.READY


def test_a_failure_that_the_request_caused_shows_that_the_target_is_ready(states: States) -> None:
    states.fail(TARGET, Condition.MISSING, None)
    states.fail(TARGET, Condition.READY, None)
    assert states.of(TARGET).condition is Condition.READY


def test_a_tier_is_waking_for_its_wake_time_from_the_first_call_on(
    states: States, clock: Clock
) -> None:
    states.fail(TARGET, Condition.ASLEEP, None, wake_s=600)
    for _ in range(9):
        clock.now += 60
        assert states.of(TARGET).shown(clock.now, 600) is Condition.WAKING
        assert states.of(TARGET).wait_s(clock.now, 600) == 600 - (clock.now - 1000)
        states.fail(TARGET, Condition.ASLEEP, None, wake_s=600)
    clock.now += 60
    # It should be awake by now. If it is not, another wake has begun with this call.
    assert states.of(TARGET).shown(clock.now, 600) is Condition.ASLEEP
    states.fail(TARGET, Condition.ASLEEP, None, wake_s=600)
    assert states.of(TARGET).wait_s(clock.now, 600) == 600


def test_a_tier_that_no_call_wakes_stays_asleep(states: States, clock: Clock) -> None:
    states.fail(TARGET, Condition.ASLEEP, None)
    assert states.of(TARGET).shown(clock.now, 600) is Condition.ASLEEP


def test_the_time_per_token_follows_the_answers_and_outlives_a_failure(states: States) -> None:
    for ms in (1.0, 2.0):
        states.answer(TARGET, ms)
    assert states.of(TARGET).token_ms == pytest.approx(1.2)
    states.fail(TARGET, Condition.ASLEEP, None)
    states.answer(TARGET, None)
    assert states.of(TARGET).token_ms == pytest.approx(1.2)
