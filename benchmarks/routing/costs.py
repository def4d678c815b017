"""The cost of a GPU alone and of a cascade before it: one trace replayed at three rates.

A function costs the GB-seconds and the invocations of its requests, a GPU its instances for as long as they are billed,
by the scaling that would be deployed. Nothing is a price per GPU request.
"""

import random
from dataclasses import dataclass, replace

from contracts.scaling.awake import Awake, parse_awake
from contracts.specs import GpuSpec
from stacks.costs.prices import instance_price
from stacks.costs.requests import Units, billed_ms, function_run, month_usd
from stacks.costs.tiers import HOURS_PER_MONTH
from stacks.scaling.replay import policy_of, replay
from stacks.scaling.traces import A_MONDAY, Trace

REGION, SEED = "us-east-1", 7
DAY_S, HOUR_S = 86_400, 3600
# Working hours, in seconds of the day, and working days.
OPENS, CLOSES, WORKING_DAYS = 8 * HOUR_S, 18 * HOUR_S, 5
# A copy takes minutes to start.
HOURS = "Mon-Fri 07:45-18:00 UTC"
MOST_COPIES = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """A rate: the arrivals of a trace, each of which stands for `each` requests.

    `awake` are the hours in which a GPU for it may be kept awake alone; None if it has no idle ones.
    """

    title: str
    trace: Trace
    each: float = 1.0
    awake: Awake | None = None

    @property
    def requests_per_month(self) -> float:
        """Return the requests of a month like the trace."""
        return len(self.trace.arrivals) * self.each / self.trace.seconds * HOURS_PER_MONTH * HOUR_S

    def escalated(self, share: float) -> "Load":
        """Return the part of the requests that goes to the GPU tier."""
        if self.each > 1:
            return replace(self, each=self.each * share)
        chance = random.Random(SEED)
        arrivals = tuple(at for at in self.trace.arrivals if chance.random() < share)
        return replace(self, trace=replace(self.trace, arrivals=arrivals))


def loads(hour: Trace, many: int) -> tuple[Load, ...]:
    """Return one hour's trace at three rates.

    Stretched over the working hours of a week, with idle nights and a weekend; as it is, day and night; and with `many`
    requests at each of its arrivals.
    """
    stretch = (CLOSES - OPENS) / hour.seconds
    week = [
        day * DAY_S + OPENS + at * stretch for day in range(WORKING_DAYS) for at in hour.arrivals
    ]
    day = [
        times * hour.seconds + at
        for times in range(round(DAY_S / hour.seconds))
        for at in hour.arrivals
    ]
    nights = Trace(begins=A_MONDAY, seconds=7 * DAY_S, arrivals=tuple(week))
    whole = Trace(
        begins=A_MONDAY,
        seconds=round(DAY_S / hour.seconds) * hour.seconds,
        arrivals=tuple(day),
    )
    return (
        Load(title="idle nights", trace=nights, awake=parse_awake(HOURS)),
        Load(title="one copy", trace=whole),
        Load(title="several copies", trace=whole, each=many),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Bill:
    """US dollars a month of the tiers alone, and the share of the GPU's requests that met no copy."""

    function_usd: float = 0.0
    instances_usd: float = 0.0
    degraded: float = 0.0

    @property
    def usd(self) -> float:
        """Return both together."""
        return self.function_usd + self.instances_usd


def function_bill(load: Load, run: Units) -> Bill:
    """Return the bill of a function that runs for every request."""
    usd = month_usd({"model": run}, load.requests_per_month, REGION)
    return Bill(function_usd=sum(usd.values()))


def gpu_bill(load: Load, gpu_ms: float, instance: str, *, by_hours: bool = False) -> Bill:
    """Return the bill of a GPU tier that each request keeps busy for `gpu_ms`.

    It has a copy at least day and night, or `by_hours` in those of the load alone, if it has any.
    """
    awake = load.awake if by_hours else None
    spec = GpuSpec(
        instance=instance, min_instances=0 if awake else 1, max_instances=MOST_COPIES, awake=awake
    )
    found = replay(load.trace, policy_of(spec), busy_s=load.each * gpu_ms / 1e3, awake=awake)
    hours = found.instance_hours / found.hours * HOURS_PER_MONTH
    usd = instance_price(instance, REGION).usd(hours)
    return Bill(instances_usd=usd, degraded=found.degraded)


def run_of(cpu_ms: float, memory_mb: int) -> Units:
    """Return the units of one request to the CPU tier that takes so many milliseconds on one vCPU."""
    return function_run(memory_mb, billed_ms(cpu_ms, memory_mb))
