"""The costs around the tiers: shared states, alarms, metrics, and answers that are compared with the GPU tier's.

They are small beside the tiers, and said all the same. What nobody has measured of them on Lambda is an assumption that
docs/costs.md names.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from contracts.cascade.contradictions import ALL
from contracts.limits import ROUTER_MEMORY_MB
from contracts.routes import Cascade
from contracts.specs import Deployment, ModelSpec
from contracts.tasks import WRITING_TASKS, Tier, Wake
from stacks.costs.prices import Price, price
from stacks.costs.requests import (
    BYTES_PER_GB,
    LAMBDA_LINES,
    ROUTER_MS,
    Units,
    billed_ms,
    function_run,
)
from stacks.costs.tiers import HOURS_PER_MONTH, SECONDS_PER_MONTH
from stacks.routes.sampling import compared
from turnout.plan.costs import MILLION, TierCost
from turnout.plan.latency import Latency

# The memory of functions of code (`stacks/function.py`), and the calls of the observer.
CODE_MB = 256
CALLS_A_MONTH = HOURS_PER_MONTH * 60
# Of a call of the observer. Not measured on Lambda.
OBSERVER_MS = 500.0
# Routers read two rows of each GPU tier this often, at half a unit each.
READ_EACH_S = 5
# Of the router's own, for a sample: the median of `benchmarks.sampling`.
SAMPLE_MS = 2.1
# Bytes of a line of the sampling function, with the state of a watch.
SAMPLER_LINE = 400
METRICS_OF_TIER, METRICS_OF_TEXTS = 2, 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Around:
    """A cost beside the tiers, by units of priced services: of a month whatever comes, and of one without an idle hour.

    `request` is of one request to the CPU tier, None where its latency was not measured.
    """

    what: str
    idle: Units = field(default_factory=dict)
    busy: Units = field(default_factory=dict)
    request: Units | None = field(default_factory=dict)

    def prices(self, region: str) -> list[Price]:
        return [price(name, region) for name in {**self.idle, **self.busy, **(self.request or {})}]

    def to_json(self, region: str) -> dict[str, Any]:
        request = self.request
        return {
            "what": self.what,
            "idle_usd_per_month": round(usd_of(self.idle, region), 4),
            "busy_usd_per_month": round(usd_of(self.busy, region), 4),
            "usd_per_million_requests": None
            if request is None
            else round(usd_of(request, region) * MILLION, 4),
        }


def usd_of(units: Units, region: str) -> float:
    """Return US dollars for units of priced services, at the prices of a month's first ones."""
    return sum(price(name, region).first * count for name, count in units.items())


def priced(costs: Iterable[TierCost], beside: Iterable[Around], region: str) -> list[Price]:
    """Return the prices that all costs of a deployment are made of."""
    of_tiers = [one for cost in costs for one in cost.prices]
    return [*of_tiers, *(one for cost in beside for one in cost.prices(region))]


def around(
    deployment: Deployment,
    cascades: Mapping[str, Cascade],
    costs: Iterable[TierCost],
    weights: int = 0,
) -> list[Around]:
    """Return what a deployment has around its tiers, each with its cost; `weights` are the bytes that lie in S3."""
    latencies = {cost.model: cost.latency for cost in costs if cost.tier is Tier.CPU}
    gpus = sum(1 for model in deployment.models if model.gpu)
    found = [_states(gpus)] if gpus else []
    alarms = sum(alarm_metrics(model, cascades.get(model.name)) for model in deployment.models)
    if alarms:
        found.append(Around(what=f"alarms: {alarms} metrics", idle={"alarm_metric": alarms}))
    metrics = sum(own_metrics(model, cascades.get(model.name)) for model in deployment.models)
    found.append(Around(what=f"metrics: {metrics}", busy={"metric": metrics}))
    if weights:
        size = weights / BYTES_PER_GB
        found.append(Around(what=f"weights in S3: {size:,.1f} GB", idle={"file_gb_month": size}))
    for model in deployment.models:
        found += _compared(model, cascades.get(model.name), latencies.get(model.name))
    return found


def alarm_metrics(model: ModelSpec, cascade: Cascade | None) -> int:
    """Return how many metrics the alarms of a model's stacks have: each is billed."""
    canary = bool(model.cpu and model.cpu.canary_minutes)
    # One of errors, and four of agreement where that is watched.
    count = canary + 4 * (canary and bool(compared(model, cascade)))
    if model.gpu:
        count += _sleeps(model) and model.gpu.wake is not Wake.NEVER
        count += 2 * (model.gpu.min_instances >= 2)
    return count


def own_metrics(model: ModelSpec, cascade: Cascade | None) -> int:
    """Return how many metrics a model has while all is well: those of each tier, and what is compared."""
    on = bool(cascade and not cascade.off)
    # A share of disagreements of shadows, and one of kept answers.
    shadowed = compared(model, cascade) == ALL
    sampled = bool(on and model.gpu and model.cpu and model.gpu.sample)
    kinds = shadowed + sampled
    canary = bool(model.cpu and model.cpu.canary_minutes)
    of_tier = METRICS_OF_TIER + METRICS_OF_TEXTS * (model.task in WRITING_TASKS)
    return of_tier * len(model.tiers) + on + kinds + kinds * canary


def _states(gpus: int) -> Around:
    run = function_run(CODE_MB, OBSERVER_MS)
    return Around(
        what="shared states: observer and table",
        idle={
            **{name: count * CALLS_A_MONTH for name, count in run.items()},
            "log_gb": LAMBDA_LINES * CALLS_A_MONTH / BYTES_PER_GB,
            "row_write": float(CALLS_A_MONTH * gpus),
        },
        busy={"row_read": SECONDS_PER_MONTH / READ_EACH_S * gpus},
    )


def _compared(
    model: ModelSpec, cascade: Cascade | None, latency: Latency | str | None
) -> Iterator[Around]:
    if not compared(model, cascade) or model.gpu is None:
        return
    if model.gpu.shadow:
        share = model.gpu.shadow
        what = f"{model.name}: shadows of {share:.1%} of the requests"
        yield Around(what=what, request=_samples(share, latency, sleeps=_sleeps(model), kept=False))
    if cascade and not cascade.off and model.gpu.sample:
        share = cascade.kept * model.gpu.sample
        what = f"{model.name}: samples of {share:.1%} of the requests"
        yield Around(what=what, request=_samples(share, latency, sleeps=_sleeps(model), kept=True))


def _sleeps(model: ModelSpec) -> bool:
    return model.gpu is not None and model.gpu.min_instances == 0


def _samples(
    share: float, latency: Latency | str | None, *, sleeps: bool, kept: bool
) -> Units | None:
    """Return the units of one request of which a share is compared: the sampling function calls as the router does.

    The GPU tier's answer is of an instance that is paid by the hour.
    """
    if not isinstance(latency, Latency):
        return None
    # What it waits takes no longer with less of a processor.
    run = dict(function_run(CODE_MB, billed_ms(ROUTER_MS, CODE_MB) + latency.ms))
    run["lambda_gb_second"] += function_run(ROUTER_MEMORY_MB, SAMPLE_MS)["lambda_gb_second"]
    # A row of copies and one of the watch are read consistently, a unit each.
    rows = {"row_read": float(sleeps + kept), "row_write": float(kept)}
    units = {**run, "log_gb": (LAMBDA_LINES + SAMPLER_LINE) / BYTES_PER_GB, **rows}
    return {name: count * share for name, count in units.items() if count}
