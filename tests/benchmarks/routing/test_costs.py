"""A trace at three rates keeps its shape, and a bill is what its parts come to."""

import pytest

from benchmarks.routing.costs import DAY_S, HOUR_S, function_bill, gpu_bill, loads, run_of
from stacks.costs.prices import instance_price, price
from stacks.scaling.traces import Trace

HOUR = Trace(begins=0.0, seconds=3600.0, arrivals=tuple(float(at) for at in range(0, 3600, 4)))
INSTANCE = "ml.g6.xlarge"
AWAKE_USD = instance_price(INSTANCE, "us-east-1").usd(730)


def test_the_same_arrivals_come_at_three_rates() -> None:
    nights, whole, many = loads(HOUR, 200)
    assert len(nights.trace.arrivals) == 5 * 900
    hours = {at % DAY_S // HOUR_S for at in nights.trace.arrivals}
    assert hours == set(range(8, 18))
    assert nights.trace.arrivals[-1] < 5 * DAY_S
    assert len(whole.trace.arrivals) == 24 * 900
    assert whole.trace.arrivals == tuple(sorted(whole.trace.arrivals))
    assert many.requests_per_month == pytest.approx(200 * whole.requests_per_month)
    assert whole.requests_per_month == pytest.approx(900 * 730)


def test_a_share_of_the_requests_is_escalated() -> None:
    _, whole, many = loads(HOUR, 200)
    assert whole.escalated(0.25).requests_per_month == pytest.approx(
        whole.requests_per_month / 4, rel=0.05
    )
    assert many.escalated(0.25).requests_per_month == pytest.approx(many.requests_per_month / 4)
    assert many.escalated(0.25).trace == many.trace


def test_a_gpu_that_is_awake_costs_its_hours_at_every_rate_it_can_take() -> None:
    for load in loads(HOUR, 200)[:2]:
        found = gpu_bill(load, 10.0, INSTANCE)
        assert found.usd == pytest.approx(AWAKE_USD)
        assert found.degraded == 0


def test_a_gpu_by_hours_costs_these_where_nights_are_idle() -> None:
    nights, whole, _ = loads(HOUR, 200)
    by_hours = gpu_bill(nights, 10.0, INSTANCE, by_hours=True)
    # 10.25 hours on five days of a week, and until each instance has left.
    assert 51.25 / 168 * AWAKE_USD < by_hours.usd < 54 / 168 * AWAKE_USD
    assert by_hours.degraded == 0
    assert gpu_bill(whole, 10.0, INSTANCE, by_hours=True).usd == pytest.approx(AWAKE_USD)


def test_requests_that_one_copy_cannot_take_cost_more_copies() -> None:
    many = loads(HOUR, 8000)[2]
    # 2,000 a second of 10 ms are 20 at once, where a copy is to have 5.
    assert gpu_bill(many, 10.0, INSTANCE).usd == pytest.approx(4 * AWAKE_USD, rel=0.05)
    part = many.escalated(0.2)
    assert gpu_bill(part, 10.0, INSTANCE).usd == pytest.approx(AWAKE_USD, rel=0.05)


def test_a_function_costs_its_invocations_and_gb_seconds() -> None:
    whole = loads(HOUR, 200)[1]
    found = function_bill(whole, run_of(9.5, 1769))
    each = price("lambda_request", "us-east-1").first
    each += 1769 / 1024 * 0.010 * price("lambda_gb_second", "us-east-1").first
    assert found.usd == pytest.approx(900 * 730 * each)
