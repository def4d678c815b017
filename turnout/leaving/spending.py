"""US dollars since the first of the month, from the table of prices and what is there now: an estimate, not a bill."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any

from stacks.costs.prices import instance_price, price
from stacks.costs.tiers import HOURS_PER_MONTH
from stacks.instances import all_instances
from turnout.deployed.inventory import Inventory

LEFT_OUT = (
    "Estimated from what is there now. Not in it: requests, logs, traffic, taxes, what was deleted this month, and "
    "instances that ran beside these. The bill is in https://console.aws.amazon.com/costmanagement/"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """One amount, and how it is computed."""

    about: str
    usd: float
    computed: str

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def month_of(now: datetime) -> datetime:
    """Return the first moment of a month, in UTC as AWS bills."""
    return now.replace(day=1, hour=0, minute=0, second=0, microsecond=0)


def costs(found: Inventory, region: str, now: datetime) -> list[Cost]:
    """Return what is paid for by time: instances of endpoints, images, and weights."""
    return [
        *_instances(found, region, now),
        *_images(found, region, now),
        *_weights(found, region, now),
    ]


def _instances(found: Inventory, region: str, now: datetime) -> Iterator[Cost]:
    for endpoint in found.endpoints:
        about, hours = endpoint.stack or endpoint.name, _hours(endpoint.since, now)
        if endpoint.instance not in all_instances():
            yield Cost(about=about, usd=0.0, computed=f"no price is known of {endpoint.instance}")
            continue
        price_of = instance_price(endpoint.instance, region)
        times = f"{endpoint.instances} × {endpoint.instance} × {hours:,.1f} h"
        yield Cost(
            about=about,
            usd=price_of.usd(endpoint.instances * hours),
            computed=f"{times} × ${price_of.first} ({price_of.note})",
        )


def _hours(since: datetime, now: datetime) -> float:
    """Return the hours of this month that something has been there."""
    return (now - max(since, month_of(now))) / timedelta(hours=1)


def _images(found: Inventory, region: str, now: datetime) -> Iterator[Cost]:
    if not found.images:
        return
    # Of one image under two tags, one is paid for.
    images = {(one.repository, one.digest): one for one in found.images}.values()
    months = [one.size / 1e9 * _hours(one.pushed, now) / HOURS_PER_MONTH for one in images]
    size, price_of = sum(one.size for one in images) / 1e9, price("image_gb_month", region)
    times = f"{len(images)} images of {size:,.1f} GB, {sum(months):,.2f} GB-months"
    yield Cost(
        about="images",
        usd=price_of.usd(sum(months)),
        computed=f"{times} × ${price_of.first:.2f} ({price_of.note}); layers that they share are counted for each",
    )


def _weights(found: Inventory, region: str, now: datetime) -> Iterator[Cost]:
    if not found.weights:
        return
    months = [one.size / 1e9 * _hours(one.changed, now) / HOURS_PER_MONTH for one in found.weights]
    size, price_of = sum(one.size for one in found.weights) / 1e9, price("file_gb_month", region)
    times = f"{len(found.weights)} pushes of {size:,.1f} GB, {sum(months):,.2f} GB-months"
    yield Cost(
        about="weights",
        usd=price_of.usd(sum(months)),
        computed=f"{times} × ${price_of.first} ({price_of.note})",
    )
