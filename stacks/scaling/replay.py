"""A trace of arrivals replayed through the scaling of a GPU tier: instance-hours, and requests that meet no copy."""

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from contracts.scaling.awake import Awake
from contracts.scaling.copies import START_S, Copies, Policy
from contracts.specs import GpuSpec
from stacks.scaling.traces import Trace

HOUR_S = 3600


@dataclass(frozen=True, slots=True, kw_only=True)
class Replayed:
    """The outcome of a replay. `instance_hours` are billed, those of starting and leaving instances among them.

    `asleep` counts the requests that met no copy in service, which another tier or nobody answers.
    """

    requests: int
    asleep: int
    wakes: int
    hours: float
    copy_hours: float
    instance_hours: float

    @property
    def degraded(self) -> float:
        """Return the share of requests that met a sleeping tier, from 0 to 1."""
        return self.asleep / self.requests if self.requests else 0.0


def policy_of(spec: GpuSpec, start_s: float = START_S) -> Policy:
    """Return the scaling of a tier whose copy takes so long to start; one copy runs on each instance."""
    return Policy(
        min_copies=spec.min_instances,
        max_copies=spec.max_instances,
        requests_per_copy=spec.requests_per_copy,
        scale_in_cooldown_s=spec.scale_in_cooldown_s,
        start_s=start_s,
    )


def replay(trace: Trace, policy: Policy, *, busy_s: float, awake: Awake | None = None) -> Replayed:
    """Replay a trace's arrivals, each of which keeps a copy busy for `busy_s` seconds.

    It begins with the copies that a deployment makes, and ends with the trace.
    """
    begin, end = trace.begins, trace.begins + trace.seconds
    copies = Copies(policy, begin, max(1, policy.min_copies))
    if awake and awake.covers(begin):
        copies.bound(begin, min_copies=1, max_copies=policy.max_copies)
    changes = awake.changes(begin, end) if awake else iter(())
    asleep = 0
    for at, begins in _merged(trace.arrivals, changes, begin):
        if begins is not None:
            least = max(1, policy.min_copies) if begins else policy.min_copies
            copies.bound(at, min_copies=least, max_copies=policy.max_copies)
        elif not copies.arrive(at, busy_s):
            asleep += 1
    copies.advance(end)
    return Replayed(
        requests=len(trace.arrivals),
        asleep=asleep,
        wakes=copies.wakes,
        hours=trace.seconds / HOUR_S,
        copy_hours=copies.copy_s / HOUR_S,
        instance_hours=copies.instance_s / HOUR_S,
    )


def choices(policy: Policy) -> tuple[Policy, ...]:
    """Return policies to compare: each number of instances that stays awake, with each cooldown."""
    least = range(policy.max_copies + 1)
    cooldowns = sorted({60.0, 300.0, 900.0, policy.scale_in_cooldown_s})
    return tuple(
        replace(policy, min_copies=copies, scale_in_cooldown_s=cooldown)
        for copies, cooldown in itertools.product(least, cooldowns)
    )


def _merged(
    arrivals: Sequence[float], changes: Iterator[tuple[float, bool]], begin: float
) -> Iterator[tuple[float, bool | None]]:
    """Yield arrivals (with None) and changes of a schedule together, in the order of time."""
    change = next(changes, None)
    for arrival in arrivals:
        while change and change[0] <= begin + arrival:
            yield change
            change = next(changes, None)
        yield begin + arrival, None
    while change:
        yield change
        change = next(changes, None)
