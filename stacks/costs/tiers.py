"""The tiers of a model compared: what each costs while idle, a GPU's request at a rate, and where they break even."""

from contracts.specs import CpuSpec, GpuSpec
from stacks.costs.prices import Price, instance_price, price
from stacks.costs.requests import BYTES_PER_GB, MB_PER_GB

# 365 days of 24 hours in 12 months, as the AWS Pricing Calculator has it.
HOURS_PER_MONTH = 730
SECONDS_PER_MONTH = HOURS_PER_MONTH * 3600
MINUTES_PER_WEEK = 7 * 24 * 60


def idle_usd(spec: CpuSpec | GpuSpec, region: str, image_bytes: int = 0) -> dict[str, float]:
    """Return what a tier costs a month while nobody calls it, in US dollars by its parts.

    A GPU's instances run day and night, or in the hours in which one is kept awake; a function costs nothing but its
    snapshot, if it has one, and its image.
    """
    parts = {"image": price("image_gb_month", region).usd(image_bytes / BYTES_PER_GB)}
    if isinstance(spec, GpuSpec):
        hours = idle_instance_hours(spec)
        return {"instance": instance_price(spec.instance, region).usd(hours), **parts}
    if spec.snap_start:
        kept = spec.memory_mb / MB_PER_GB * SECONDS_PER_MONTH
        return {"snapshot": price("snap_start_gb_second", region).usd(kept), **parts}
    return parts


def idle_instance_hours(spec: GpuSpec) -> float:
    """Return the hours a month of a GPU tier's instances while nobody calls it."""
    if spec.min_instances or not spec.awake:
        return spec.min_instances * HOURS_PER_MONTH
    minutes = len(spec.awake.days) * (spec.awake.end - spec.awake.start)
    return minutes / MINUTES_PER_WEEK * HOURS_PER_MONTH


def idle_gpu_cost(instance: str, region: str = "us-east-1") -> float:
    """Return US dollars per month (730 h) of one instance that runs all the time."""
    return instance_price(instance, region).usd(HOURS_PER_MONTH)


def hourly_usd_per_request(price: Price, per_second: float, instances: int = 1) -> float:
    """Return US dollars for each request to what is billed by the hour, at that many requests a second all the time."""
    return price.first * instances / (per_second * 3600)


def break_even(
    *, always_on: float, on_demand: float, always_on_request: float, on_demand_request: float
) -> float | None:
    """Return the requests a month from which what is always on is cheaper; None if it never is.

    The first two are US dollars a month while idle, the others US dollars a request.
    """
    saved = on_demand_request - always_on_request
    if saved <= 0:
        return None
    return max(0.0, always_on - on_demand) / saved


def per_second(per_month: float) -> float:
    """Return a month's requests as a rate that is the same at every second."""
    return per_month / SECONDS_PER_MONTH
