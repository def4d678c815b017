"""Prices have a unit, a source and a date; those of another region are said to be of us-east-1."""

import json
import random
import re

import pytest

from stacks.costs.prices import instance_price, price, services
from stacks.images import regions
from stacks.instances import PRICES, instances
from tests.fixtures.problems import raises

TABLE = json.loads(PRICES.read_text("utf-8"))
DATE = re.compile(r"\d{4}-\d\d-\d\d")


@pytest.mark.parametrize("place", [TABLE, *TABLE["services"].values(), *TABLE["regions"].values()])
def test_every_figure_has_a_source_and_a_date(place: dict[str, str]) -> None:
    assert DATE.fullmatch(place["as_of"])
    assert len(place["source"]) > 10


def test_every_priced_region_can_be_deployed_to_and_names_what_there_is() -> None:
    assert set(TABLE["regions"]) <= set(regions())
    for here in TABLE["regions"].values():
        assert set(here.get("instances", {})) <= set(instances())
        assert set(here.get("services", {})) <= set(services())


def test_a_region_has_its_own_price_where_one_is_known_and_else_that_of_us_east_1() -> None:
    assert instance_price("ml.g6.xlarge", "eu-west-3").first == 1.4302
    assert instance_price("ml.g6.xlarge", "eu-west-3").note == "eu-west-3 price of 2026-10-04"
    other = instance_price("ml.g5.2xlarge", "eu-west-3")
    assert (other.first, other.note) == (1.515, f"us-east-1 price of {TABLE['as_of']}")
    assert price("lambda_request", "eu-central-1").region == "eu-central-1"
    assert price("http_request", "eu-central-1").region == "us-east-1"


def test_an_instance_without_a_price_is_refused_in_every_region() -> None:
    for region in ("us-east-1", "eu-west-3"):
        with raises("instance_unknown", "ml.t2.nano", " ml.g4dn"):
            instance_price("ml.t2.nano", region)


def test_later_units_of_a_month_cost_what_their_step_says() -> None:
    # The example of the source: 60 TB of a month's logs are $12,500.
    assert price("log_gb", "us-east-1").usd(60_000) == pytest.approx(12_500)
    assert price("http_request", "us-east-1").usd(301e6) == pytest.approx(300 + 0.9)
    assert price("lambda_gb_second", "us-east-1").usd(6e9) == pytest.approx(100_000.2)


@pytest.mark.parametrize("name", TABLE["services"])
def test_more_units_never_cost_less_and_none_cost_nothing(name: str) -> None:
    one = price(name, "us-east-1")
    draw = random.Random(name)
    units = sorted(10 ** draw.uniform(0, 12) for _ in range(200))
    usd = [one.usd(count) for count in units]
    assert one.usd(0) == 0
    assert usd == sorted(usd)
    for count, cost in zip(units, usd, strict=True):
        # No step is dearer than the first, and none cheaper than the last.
        assert one.steps[-1][1] * count <= cost * (1 + 1e-9)
        assert cost <= one.first * count * (1 + 1e-9)
