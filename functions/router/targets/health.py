"""The state of the targets as one instance of the router knows it, learned from their answers.

Nothing runs between requests, so a state has no timer: it says until when a target is left alone. After that one
request tries it, and the next only a hold later, which makes the trial of a target that fails the half-open state of a
circuit breaker, and that of a tier that sleeps its wake call.
"""

import math
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from time import monotonic
from typing import Protocol

from contracts.limits import LAMBDA_INIT_S, MAX_TIER_TIMEOUT_S
from contracts.routes import Target
from contracts.tasks import Tier


class Condition(StrEnum):
    """The condition of a target."""

    READY = "ready"
    ASLEEP = "asleep"
    WAKING = "waking"
    THROTTLED = "throttled"
    FAILING = "failing"
    MISSING = "missing"


# Failures in a row that open the breaker: fewer would take one bad minute of a client's requests for an outage.
FAILURES_TO_OPEN = 5
# How long a target is left alone, where its answer does not say. One wake call a minute is enough to wake a tier.
HOLDS_S: Mapping[Condition, float] = {
    Condition.ASLEEP: 60.0,
    Condition.WAKING: 5.0,
    Condition.THROTTLED: 1.0,
    Condition.FAILING: 10.0,
    Condition.MISSING: 5.0,
}
# The hold of a breaker doubles each time that its trial fails, up to this.
LONGEST_HOLD_S = 60.0
# Callers without an answer that open it. Each has lost all of its time, so that these are fewer.
SILENT_TO_OPEN = 3
# A target that is busy takes so many times as long as expected, and this long at least, to answer one of its callers.
MOST_TIMES = 10
LEAST_RUN_S = 1.0
# The share of a new measurement in the time per token that is kept.
NEW_SHARE = 0.2


@dataclass(frozen=True, slots=True, kw_only=True)
class Silence:
    """The time in which callers of a target got no answer, of any kind, by their deadlines.

    `since` is when the first of these `callers` was sent, `last` when the last of them gave up.
    """

    since: float
    last: float
    callers: int = 1

    def went_on(self, now: float) -> "Silence":
        """Return the silence after one caller more."""
        return Silence(since=self.since, last=now, callers=self.callers + 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetState:
    """The state of one target; times are on the clock of `time.monotonic`.

    `until` is when it may be tried again, `failures` how many there were in a row, `opened` how often the breaker has
    opened since the last success, `woken` when the wake began, `waking` whether copies are on their way without that,
    `token_ms` the observed time per estimated token, `seen` when an answer said so, and `silence` what has been since.
    """

    condition: Condition = Condition.READY
    until: float = 0.0
    failures: int = 0
    opened: int = 0
    woken: float | None = None
    waking: bool = False
    token_ms: float | None = None
    seen: float = -math.inf
    silence: Silence | None = None

    def shown(self, now: float, wake_s: float) -> Condition:
        """Return the condition; a tier that sleeps is waking for its wake time after a call that wakes it."""
        woken = self.woken is not None and now - self.woken < wake_s
        asleep = self.condition is Condition.ASLEEP
        return Condition.WAKING if asleep and (woken or self.waking) else self.condition

    def wait_s(self, now: float, wake_s: float) -> float:
        """Return the seconds after which a caller may find it ready."""
        ready_at = self.until
        if self.condition is Condition.ASLEEP and wake_s:
            ready_at = wake_s + (now if self.woken is None else self.woken)
        return max(ready_at - now, 1.0)


def answered(state: TargetState, ms_per_token: float | None = None) -> TargetState:
    """Return the state after an answer: ready, whatever was before."""
    if ms_per_token is None:
        return TargetState(token_ms=state.token_ms)
    kept = ms_per_token if state.token_ms is None else state.token_ms
    return TargetState(token_ms=kept + NEW_SHARE * (ms_per_token - kept))


def failed(
    state: TargetState, condition: Condition, now: float, hold_s: float | None, wake_s: float = 0.0
) -> TargetState:
    """Return the state after a failure that says this condition of the target; READY if the request caused it.

    `wake_s` is how long it takes to wake a target that the call wakes, 0 for one that it does not.
    """
    if condition is Condition.READY:
        return answered(state)
    if condition is Condition.FAILING:
        return _failing(state, now)
    woken = state.woken
    if wake_s and (woken is None or now - woken >= wake_s):
        woken = now
    return replace(
        state,
        condition=condition,
        until=now + (HOLDS_S[condition] if hold_s is None else hold_s),
        failures=0,
        opened=0,
        woken=woken if condition is Condition.ASLEEP else None,
        waking=state.waking and condition is Condition.ASLEEP,
        silence=None,
    )


def unanswered(state: TargetState, sent: float, now: float, longest_s: float) -> TargetState:
    """Return the state after a caller whose request was sent at `sent` has given up.

    One caller with little time says nothing of a target, which may be starting. Where none has an answer for
    `longest_s`, in which it starts and answers, it does not answer at all. An open breaker's trial has failed.
    """
    if sent <= state.seen:
        # Another caller had an answer meanwhile, or the breaker has opened.
        return state
    if state.condition is Condition.FAILING:
        return replace(_failing(state, now), seen=now)
    silence = state.silence
    # After a longer pause it may be starting anew.
    if silence is None or now - silence.last > longest_s:
        return replace(state, silence=Silence(since=sent, last=now))
    silence = silence.went_on(now)
    if silence.callers < SILENT_TO_OPEN or now - silence.since <= longest_s:
        return replace(state, silence=silence)
    return replace(_failing(replace(state, failures=FAILURES_TO_OPEN), now), seen=now)


def _failing(state: TargetState, now: float) -> TargetState:
    failures = state.failures + 1
    # The trial of an open breaker opens it again by itself.
    if failures < FAILURES_TO_OPEN and not state.opened:
        return replace(state, condition=Condition.READY, failures=failures)
    hold_s = min(HOLDS_S[Condition.FAILING] * 2**state.opened, LONGEST_HOLD_S)
    return replace(
        state,
        condition=Condition.FAILING,
        until=now + hold_s,
        failures=failures,
        # More would double nothing.
        opened=min(state.opened + 1, 8),
    )


def start_of(target: Target) -> int:
    """Return the seconds that a target may take to start for a request; a GPU's container has started before it."""
    return LAMBDA_INIT_S if target.tier is Tier.CPU else 0


def longest_s(target: Target, expected_ms: float | None) -> float:
    """Return the seconds within which a target answers one of its callers, whatever it is doing.

    A function may have to start, for as long as Lambda lets it. Then it takes what is expected, many times over where
    it is busy; where nothing is expected, as long as it may. A function has no queue, and ends a text by the caller's
    deadline, so that one which may write for minutes says something long before.
    """
    start_s = start_of(target)
    if expected_ms is None:
        whole = target.tier is Tier.GPU
        return start_s + (target.timeout_s if whole else min(target.timeout_s, MAX_TIER_TIMEOUT_S))
    return start_s + min(max(expected_ms / 1e3 * MOST_TIMES, LEAST_RUN_S), target.timeout_s)


class Shared(Protocol):
    """State that instances of the router share: `merged` with what one of them knows, and which one wakes a tier.

    One that has just started does not know it yet, and can `learn` it.
    """

    def merged(self, target: Target, state: TargetState) -> TargetState: ...

    def knows(self) -> bool: ...

    def learn(self, longest_s: float) -> None: ...

    def may_wake(self, target: Target) -> bool: ...

    def woke(self, target: Target) -> None: ...


class States:
    """The states of all targets by their addresses; threads share them, and instances what `shared` has."""

    def __init__(
        self, clock: Callable[[], float] = monotonic, shared: Shared | None = None
    ) -> None:
        self.clock, self.shared = clock, shared
        self.by_address: dict[str, TargetState] = {}
        self.lock = threading.Lock()

    def of(self, target: Target) -> TargetState:
        state = self.by_address.get(target.address, READY)
        return self.shared.merged(target, state) if self.shared else state

    def claim(self, target: Target) -> bool:
        """Return True for the one request that may try a target now, and hold back the others."""
        with self.lock:
            state, now = self.of(target), self.clock()
            if state.condition is not Condition.READY and now < state.until:
                return False
            if state.condition is not Condition.READY:
                hold_s = HOLDS_S[state.condition]
                self.by_address[target.address] = replace(state, until=now + hold_s)
            return True

    def answer(self, target: Target, ms_per_token: float | None) -> None:
        with self.lock:
            state = answered(self.of(target), ms_per_token)
            self.by_address[target.address] = replace(state, seen=self.clock())

    def fail(
        self, target: Target, condition: Condition, hold_s: float | None, wake_s: float = 0.0
    ) -> None:
        with self.lock:
            now = self.clock()
            state = failed(self.of(target), condition, now, hold_s, wake_s)
            # A request that was at fault says nothing of the target.
            seen = state.seen if condition is Condition.READY else now
            self.by_address[target.address] = replace(state, seen=seen)
        if self.shared and condition is Condition.ASLEEP and wake_s:
            self.shared.woke(target)

    def give_up(self, target: Target, sent: float, longest_s: float) -> None:
        """Take note of a caller who was sent to a target at `sent`, and waits no more."""
        with self.lock:
            state = unanswered(self.of(target), sent, self.clock(), longest_s)
            self.by_address[target.address] = state


READY = TargetState()
