"""The costs of a deployment: of each tier while idle and for a million requests, and where the tiers break even."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from contracts.specs import CpuSpec, Deployment, GpuSpec, ModelSpec
from contracts.tasks import Tier
from stacks.costs.prices import Price, instance_price, price
from stacks.costs.requests import (
    Parts,
    answer_bytes,
    billed_ms,
    function_run,
    request_parts,
    request_usd,
)
from stacks.costs.tiers import (
    break_even,
    hourly_usd_per_request,
    idle_gpu_cost,
    idle_usd,
    per_second,
)
from stacks.instances import instances
from turnout.plan.latency import Latency, measured, read_artefact

MILLION = 1_000_000
# A GPU is billed by the hour: what a request costs depends on how many come. These are shown, in requests a second.
RATES = (1, 10, 100)


@dataclass(frozen=True, slots=True, kw_only=True)
class TierCost:
    """The cost of one tier in US dollars: while idle a month by parts, and one request by parts.

    `request` is of a function, and empty where its latency was not measured; `latency` says why. Of a GPU, `rates` has
    it by requests a second, and `instances` how many run at least and at most.
    """

    model: str
    tier: Tier
    idle: Mapping[str, float]
    latency: Latency | str
    request: Mapping[str, float]
    rates: Mapping[int, Mapping[str, float]]
    prices: Sequence[Price]
    instances: tuple[int, int] | None = None

    @property
    def idle_usd(self) -> float:
        """Return US dollars a month while nobody calls."""
        return sum(self.idle.values())

    def to_json(self) -> dict[str, Any]:
        known = isinstance(self.latency, Latency)
        return {
            "idle_usd_per_month": _rounded(self.idle),
            "latency": self.latency.to_json() if isinstance(self.latency, Latency) else None,
            "latency_missing": None if known else self.latency,
            "usd_per_million_requests": _million(self.request) if self.request else None,
            "usd_per_million_requests_at": {
                str(rate): _million(parts) for rate, parts in self.rates.items()
            },
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class BreakEven:
    """The traffic from which an instance that is always on is cheaper than Lambda; None if it never is.

    `deployed` says that models.toml has that GPU tier; otherwise it is the cheapest instance there is.
    """

    model: str
    instance: str
    deployed: bool
    requests_per_month: float | None

    def to_json(self) -> dict[str, Any]:
        found = self.requests_per_month
        return {
            "model": self.model,
            "instance": self.instance,
            "deployed": self.deployed,
            "requests_per_month": None if found is None else round(found),
            "requests_per_second": None if found is None else round(per_second(found), 3),
        }


def model_costs(
    model: ModelSpec, deployment: Deployment, out: Path, images: Mapping[Tier, int]
) -> list[TierCost]:
    """Return the costs of a model's tiers; `images` are the bytes of their images, where known."""
    found: list[TierCost] = []
    waits: Latency | str = "not measured: the build has no GPU"
    for tier, spec in model.tiers.items():
        folder = out / model.name / tier
        manifest = read_artefact(folder)
        latency = measured(folder, manifest)
        if tier is Tier.CPU:
            waits = latency
        sent = answer_bytes(model.task, manifest.dimensions if manifest else 0)
        idle = idle_usd(spec, deployment.region, images.get(tier, 0))
        if isinstance(spec, CpuSpec):
            request, rates = _function(spec, latency, sent, deployment.region), {}
        else:
            request, rates = {}, _gpu(spec, waits, sent, deployment.region)
        found.append(
            TierCost(
                model=model.name,
                tier=tier,
                idle=idle,
                latency=latency,
                request=request,
                rates=rates,
                prices=_prices(spec, deployment.region),
                instances=(
                    (spec.min_instances, spec.max_instances) if isinstance(spec, GpuSpec) else None
                ),
            )
        )
    return found


def _function(spec: CpuSpec, latency: Latency | str, sent: int, region: str) -> dict[str, float]:
    if not isinstance(latency, Latency):
        return {}
    billed = billed_ms(latency.ms, spec.memory_mb)
    return request_usd(request_parts(billed, function_run(spec.memory_mb, billed), sent), region)


def _gpu(
    spec: GpuSpec, waits: Latency | str, sent: int, region: str
) -> dict[int, dict[str, float]]:
    """Return a request's parts by rate. The router is taken to wait as long as for Lambda, where that was measured."""
    ms = waits.ms if isinstance(waits, Latency) else 0.0
    parts: Parts = request_parts(ms, {}, sent)
    hour = instance_price(spec.instance, region)
    return {
        rate: {
            **request_usd(parts, region),
            "model": hourly_usd_per_request(hour, rate, max(1, spec.min_instances)),
        }
        for rate in RATES
    }


def break_evens(model: ModelSpec, costs: Sequence[TierCost], region: str) -> list[BreakEven]:
    """Return from what traffic on a GPU is cheaper than the model's function; none where that was not measured.

    Of a model without a GPU tier it is the cheapest instance.
    """
    function = next((cost for cost in costs if cost.request), None)
    if function is None:
        return []
    spec = model.gpu or GpuSpec(
        instance=min(instances(), key=lambda name: instance_price(name, region).first)
    )
    # What both have, front door and answer, falls out; the router is taken to wait as long for either.
    gpu = _gpu(spec, function.latency, 0, region)[RATES[0]]
    shared = ("front door", "answer")
    found = break_even(
        always_on=idle_gpu_cost(spec.instance, region) * max(1, spec.min_instances),
        on_demand=sum(usd for part, usd in function.idle.items() if part != "image"),
        always_on_request=sum(usd for part, usd in gpu.items() if part not in (*shared, "model")),
        on_demand_request=sum(usd for part, usd in function.request.items() if part not in shared),
    )
    return [
        BreakEven(
            model=model.name,
            instance=spec.instance,
            deployed=model.gpu is not None,
            requests_per_month=found,
        )
    ]


def _prices(spec: CpuSpec | GpuSpec, region: str) -> list[Price]:
    names = ["http_request", "lambda_request", "lambda_gb_second", "log_gb", "sent_gb"]
    names += ["image_gb_month"]
    if isinstance(spec, GpuSpec):
        return [instance_price(spec.instance, region), *(price(name, region) for name in names)]
    names += ["snap_start_gb_second"] if spec.snap_start else []
    return [price(name, region) for name in names]


def prices_json(prices: Iterable[Price]) -> dict[str, Any]:
    """Return prices by name: each first step with its unit, region and date."""
    return {
        one.name: {
            "usd": one.first,
            "unit": one.unit,
            "region": one.region,
            "as_of": one.as_of,
        }
        for one in prices
    }


def _million(parts: Mapping[str, float]) -> dict[str, float]:
    """Return US dollars for a million requests by parts, and together."""
    return _rounded(
        {**{part: usd * MILLION for part, usd in parts.items()}, "together": total(parts)}
    )


def total(parts: Mapping[str, float]) -> float:
    """Return US dollars for a million requests."""
    return sum(parts.values()) * MILLION


def _rounded(parts: Mapping[str, float]) -> dict[str, float]:
    return {part: round(usd, 4) for part, usd in parts.items()}
