"""A tier's cost while idle, a GPU's request at a rate, and the traffic at which tiers break even."""

import random
from dataclasses import replace

import pytest

from contracts.scaling.awake import parse_awake
from contracts.specs import CpuSpec, GpuSpec
from stacks.costs.prices import instance_price
from stacks.costs.tiers import (
    SECONDS_PER_MONTH,
    break_even,
    hourly_usd_per_request,
    idle_gpu_cost,
    idle_usd,
    per_second,
)
from stacks.instances import instances

GIB = 1024**3


def test_a_function_costs_nothing_idle_but_its_image_and_its_snapshot() -> None:
    assert sum(idle_usd(CpuSpec(), "us-east-1").values()) == 0
    assert idle_usd(CpuSpec(), "us-east-1", 2 * GIB) == {"image": pytest.approx(0.2)}
    kept = idle_usd(CpuSpec(snap_start=True), "us-east-1")["snapshot"]
    # A kept version of 1,769 MB is about $7 a month.
    assert kept == pytest.approx(1769 / 1024 * 730 * 3600 * 0.0000015046)
    assert 6 < kept < 8


@pytest.mark.parametrize("instance", instances())
def test_a_gpu_costs_its_hours_whatever_its_traffic(instance: str) -> None:
    idle = idle_usd(GpuSpec(instance=instance), "us-east-1")
    assert (
        idle["instance"]
        == idle_gpu_cost(instance)
        == pytest.approx(instances()[instance].usd_per_hour * 730)
    )
    for rate in (0.5, 1, 10, 100):
        each = hourly_usd_per_request(instance_price(instance, "us-east-1"), rate)
        assert each * rate * SECONDS_PER_MONTH == pytest.approx(idle["instance"])


def test_a_gpu_that_sleeps_costs_nothing_idle_but_the_hours_that_keep_it_awake() -> None:
    asleep = GpuSpec(instance="ml.g6.xlarge", min_instances=0)
    assert idle_usd(asleep, "us-east-1")["instance"] == 0
    # 50 of a week's 168 hours.
    awake = replace(asleep, awake=parse_awake("Mon-Fri 08:00-18:00 Europe/Berlin"))
    kept = idle_usd(awake, "us-east-1")["instance"]
    assert kept == pytest.approx(1.127 * 730 * 50 / 168)
    week = replace(asleep, awake=parse_awake("Mon-Sun 00:00-24:00 UTC"))
    assert idle_usd(week, "us-east-1")["instance"] == pytest.approx(idle_gpu_cost("ml.g6.xlarge"))
    # Whoever keeps two instances pays for two, in whatever hours.
    two = replace(awake, min_instances=2, max_instances=2)
    assert idle_usd(two, "us-east-1")["instance"] == pytest.approx(2 * 1.127 * 730)


def test_at_the_break_even_both_cost_the_same_and_the_gpu_less_beyond() -> None:
    draw = random.Random(11)
    for _ in range(500):
        always, own = draw.uniform(500, 6000), draw.uniform(1e-7, 1e-4)
        gpu = own * draw.uniform(0, 0.99)
        count = break_even(
            always_on=always, on_demand=0, always_on_request=gpu, on_demand_request=own
        )
        assert count is not None
        assert always + gpu * count == pytest.approx(own * count)
        assert always + gpu * count * 1.1 < own * count * 1.1
        assert always + gpu * count * 0.9 > own * count * 0.9
        assert per_second(count) * SECONDS_PER_MONTH == pytest.approx(count)


def test_there_is_no_break_even_where_a_request_to_the_gpu_costs_as_much() -> None:
    for gpu in (1e-6, 2e-6):
        assert (
            break_even(always_on=800, on_demand=0, always_on_request=gpu, on_demand_request=1e-6)
            is None
        )


def test_a_gpu_that_costs_less_than_a_snapshot_is_cheaper_at_once() -> None:
    assert break_even(always_on=5, on_demand=7, always_on_request=0, on_demand_request=1e-6) == 0
