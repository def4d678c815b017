"""The turn of an instance of the router to ask a target: what others know of it, and which of them wakes it."""

import anyio
import anyio.to_thread

from contracts.prediction import PredictRequest
from contracts.routes import Target
from contracts.tasks import Wake
from functions.router.targets.health import Condition, States

# A call that may wake a tier waits as long for the other instances' word; without it, each instance wakes by itself.
SHARED_S = 0.05
# An instance that has just started waits as long, once, before it asks a tier that may sleep.
LEARNT_S = 0.3
# Of the time that is left, a request gives no more for that.
LEARNT_SHARE = 0.25


async def learnt(states: States, target: Target, request: PredictRequest) -> bool:
    """Return True if this instance has just been told what the others know of a target that may sleep."""
    shared = states.shared
    if shared is None or not target.sleeps or shared.knows():
        return False
    left_s = request.deadline - states.clock()
    await anyio.to_thread.run_sync(shared.learn, min(LEARNT_S, left_s * LEARNT_SHARE))
    return True


async def claimed(states: States, target: Target) -> bool:
    """Return True for the one request that may try a target now: of this instance, and of all to wake a tier."""
    asleep = states.of(target).condition is Condition.ASLEEP
    if not states.claim(target):
        return False
    shared = states.shared
    if shared is None or not asleep or target.wake is Wake.NEVER:
        return True
    may_wake = True
    with anyio.move_on_after(SHARED_S):
        may_wake = await anyio.to_thread.run_sync(shared.may_wake, target, abandon_on_cancel=True)
    return may_wake
