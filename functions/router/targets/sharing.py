"""The state of targets by the shared rows, put together with what one instance has learned: what is newer counts."""

import math
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from time import monotonic

from contracts.routes import Routes, Target
from contracts.states.rows import CopyCounts, Row, copies_key, wake_key
from contracts.tasks import Tier, Wake
from functions.router.targets.health import HOLDS_S, Condition, TargetState
from functions.router.targets.shared_rows import SharedRows

# The observer writes once a minute; what it wrote before its last two turns is not counted any more.
FRESH_S = 150.0
# The statuses of a component whose copies say whether it sleeps.
COUNTED = ("InService", "Creating", "Updating")
# The conditions that end where a copy is in service.
WITHOUT_COPIES = (Condition.ASLEEP, Condition.WAKING, Condition.MISSING)
WAKES_APART_S = HOLDS_S[Condition.ASLEEP]


def shared_keys(routes: Routes) -> list[str]:
    """Return the keys of all rows about the targets of GPU tiers."""
    gpus = [
        route.targets[Tier.GPU] for route in routes.models.values() if Tier.GPU in route.targets
    ]
    return [key(gpu.address) for gpu in gpus for key in (copies_key, wake_key)]


class SharedStates:
    """The states of GPU tiers as the shared rows have them; `clock` is that of `time.monotonic`."""

    def __init__(self, rows: SharedRows, clock: Callable[[], float] = monotonic) -> None:
        self.rows, self.clock = rows, clock
        self.called: dict[str, float] = {}

    def merged(self, target: Target, state: TargetState) -> TargetState:
        """Return a target's state with what the rows say of it since."""
        if target.tier is not Tier.GPU:
            return state
        now, ago = self.clock(), self.rows.clock()
        # What was called before it last answered has woken up.
        answered = state.seen if state.condition is Condition.READY else -math.inf
        copies = self.rows.get(copies_key(target.address))
        if copies is not None:
            state = with_copies(state, copies, now - (ago - copies.written_at), now)
        if state.condition is not Condition.ASLEEP or target.wake is Wake.NEVER:
            return state
        wake = self.rows.get(wake_key(target.address))
        at = now - (ago - wake.written_at) if wake else -math.inf
        return with_wake(state, at) if at > answered else state

    def knows(self) -> bool:
        """Return True unless the rows were never read: in an instance that has just started."""
        return self.rows.answered.is_set()

    def learn(self, longest_s: float) -> None:
        """Wait for the rows to be read for the first time, once; later requests go on with what is known."""
        self.rows.refresh()
        self.rows.answered.wait(longest_s)
        self.rows.answered.set()

    def may_wake(self, target: Target) -> bool:
        """Return True for the one request of all instances that may call a tier that sleeps; it waits for DynamoDB."""
        self.called[target.address] = self.clock()
        return self.rows.take(wake_key(target.address), WAKES_APART_S)

    def woke(self, target: Target) -> None:
        """Tell the others that a call of this instance found the tier asleep, unless `may_wake` has done so."""
        if self.clock() - self.called.get(target.address, -math.inf) >= WAKES_APART_S:
            self.rows.run(partial(self.may_wake, target))


def with_copies(state: TargetState, row: Row, at: float, now: float) -> TargetState:
    """Return the state after the control plane was asked at that time, unless it is of later or the row is old."""
    if at <= state.seen or now - at > FRESH_S:
        return state
    try:
        copies = CopyCounts.from_document(row.document)
    except (KeyError, ValueError):
        return state
    if copies.status not in COUNTED:
        return state
    if copies.current > 0:
        ready = state.condition in WITHOUT_COPIES
        return TargetState(token_ms=state.token_ms, seen=state.seen) if ready else state
    # What is on its way needs no call; the next row may say that it is there.
    until = at + WAKES_APART_S if copies.desired > 0 else state.until
    return replace(
        state,
        condition=Condition.ASLEEP,
        until=max(until, state.until),
        failures=0,
        opened=0,
        waking=copies.desired > 0,
    )


def with_wake(state: TargetState, at: float) -> TargetState:
    """Return the state of a tier that sleeps, and that an instance has called at that time."""
    if state.woken is not None and at <= state.woken:
        return state
    return replace(state, woken=at, until=max(state.until, at + WAKES_APART_S))
