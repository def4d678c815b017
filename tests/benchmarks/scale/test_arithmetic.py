"""The page on scale has the arithmetic of the constants, which counts in one direction and in the right units."""

import pytest

from benchmarks.scale.arithmetic import (
    A_DAY,
    DAY_S,
    MEMORY_MB,
    PAGE,
    PEAK,
    filled,
    measured_ms,
    text,
)
from benchmarks.scale.limits import GATEWAY_PER_SECOND, environments, limits


def test_the_page_is_current() -> None:
    page = PAGE.read_text("utf-8")
    assert filled(page) == page
    assert text() in page


def test_environments_are_those_of_littles_law() -> None:
    # A second of work for each of ten requests a second keeps ten models busy, and ten routers that wait for them.
    busy = environments(10, 1000, MEMORY_MB)
    assert 20 < busy < 20.2
    assert environments(20, 1000, MEMORY_MB) == pytest.approx(2 * busy)
    assert environments(10, 2000, MEMORY_MB) > busy
    # With half a vCPU the model, and its router's wait, take twice as long.
    assert environments(10, 1000, MEMORY_MB // 2) == pytest.approx(2 * busy, rel=0.01)


def test_the_limits_come_in_the_order_in_which_they_are_met() -> None:
    found = limits(measured_ms(), MEMORY_MB)
    rates = [limit.per_second for limit in found]
    assert rates == sorted(rates)
    assert rates[0] == 50
    # Of a slow model the environments run out before the invocations a second do.
    slow = {limit.name: limit.per_second for limit in limits(2_000, MEMORY_MB)}
    assert slow["the default of 1,000 environments: all of them busy"] < GATEWAY_PER_SECOND / 10
    fast = {limit.name: limit.per_second for limit in found}
    assert fast["the default of 1,000 environments: 10,000 invocations a second"] == 5_000
    assert all(limit.raised_by for limit in found)


def test_a_day_is_divided_into_its_seconds() -> None:
    assert f"{A_DAY / DAY_S:,.0f} a second on average" in text()
    assert f"{A_DAY / DAY_S * PEAK:,.0f} at a peak" in text()
    assert A_DAY / DAY_S == pytest.approx(11_574.07, abs=0.01)
