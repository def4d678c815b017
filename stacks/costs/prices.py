"""Prices of AWS's services by region, each with its unit, its source and the day it was read (`stacks/prices.json`).

Where a region's price is not known, that of us-east-1 stands for it, and its note says so.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from stacks.instances import PRICES, all_instances, find_instance


@dataclass(frozen=True, slots=True, kw_only=True)
class Price:
    """A price in US dollars, on demand and without the free tier.

    `steps` are the units of a month up to which each price holds, and that price; the last has no end. `region` is
    where the price was read, which may be another than where is deployed to.
    """

    name: str
    unit: str
    steps: tuple[tuple[float, float], ...]
    region: str
    as_of: str

    @property
    def first(self) -> float:
        """Return the price of a month's first units."""
        return self.steps[0][1]

    @property
    def note(self) -> str:
        """Return the region and the date of the price, which are shown wherever it is."""
        return f"{self.region} price of {self.as_of}"

    def usd(self, units: float) -> float:
        """Return US dollars for so many units in one month."""
        total, below = 0.0, 0.0
        for limit, usd in self.steps:
            total += usd * max(0.0, min(units, limit) - below)
            below = limit
        return total


@cache
def price(name: str, region: str) -> Price:
    """Return the price of a service, one of `services` in the table; raise KeyError for any other name."""
    table = _table()
    service = table["services"][name]
    here = table["regions"].get(region, {})
    usd = here.get("services", {}).get(name)
    if usd is not None:
        return Price(
            name=name,
            unit=service["unit"],
            steps=((float("inf"), usd),),
            region=region,
            as_of=here["as_of"],
        )
    steps = tuple(
        (float("inf") if limit is None else limit, usd) for limit, usd in service["steps"]
    )
    return Price(
        name=name,
        unit=service["unit"],
        steps=steps,
        region=table["region"],
        as_of=service["as_of"],
    )


@cache
def instance_price(instance: str, region: str) -> Price:
    """Return the price of one instance for an hour; raise UnknownInstance."""
    table = _table()
    here = table["regions"].get(region, {})
    usd = here.get("instances", {}).get(instance)
    known = usd is not None
    elsewhere = find_instance(instance, all_instances()).usd_per_hour
    return Price(
        name=instance,
        unit=f"hour of {instance}",
        steps=((float("inf"), usd if known else elsewhere),),
        region=region if known else table["region"],
        as_of=here["as_of"] if known else table["as_of"],
    )


@cache
def services() -> Mapping[str, str]:
    """Return the unit of each priced service by its name."""
    return {name: row["unit"] for name, row in _table()["services"].items()}


@cache
def _table() -> dict[str, Any]:
    table: dict[str, Any] = json.loads(PRICES.read_text("utf-8"))
    return table
