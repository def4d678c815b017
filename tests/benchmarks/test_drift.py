"""The simulated drift watch is the one that runs, and keeps what is said of it."""

import numpy as np
import pytest
from scipy.stats import binom

from benchmarks.drift import Watches, delay, drawn, false_alarms, most_found
from contracts.cascade.drift import AT_ONCE, HORIZON, LIMIT, Baseline, Watch, watched


def test_many_watches_at_once_are_those_that_run() -> None:
    draw = np.random.default_rng(3)
    calibrated = np.array([0, 3, 30, 120])
    many = Watches.of(600, calibrated)
    alone = [Watch()] * 4
    for _ in range(400):
        disagrees = draw.random(4) < [0.001, 0.01, 0.05, 0.2]
        evidence = many.see(disagrees)
        for i, one in enumerate(alone):
            baseline = Baseline(kept=600, disagreed=int(calibrated[i]))
            alone[i] = watched(one, baseline, [bool(disagrees[i])])
            assert evidence[i] == pytest.approx(alone[i].evidence(baseline), rel=1e-9)


def test_false_alarms_are_as_few_as_promised() -> None:
    """In a fifth of the horizon, of which a test has the time for; the benchmark has all of it."""
    draw, runs, inputs = np.random.default_rng(14), 200, HORIZON // 5
    seen = false_alarms(drawn(draw, 0.03, 1_000, runs), draw, 0.03, inputs)
    promised = (AT_ONCE + (1 - AT_ONCE) * inputs / HORIZON) / LIMIT
    # So many by chance in one of 1,000 tests, if it were just kept.
    assert seen * runs <= binom.ppf(0.999, runs, promised)


@pytest.mark.parametrize("change", [0, 2_000])
def test_a_doubled_rate_is_found_within_1_000_inputs(change: int) -> None:
    draw = np.random.default_rng(14)
    assert delay(drawn(draw, 0.03, 5_000, 200), draw, 0.03, change, 3_000) <= 1_000


def test_a_doubling_that_is_not_found_counts_as_the_longest_delay() -> None:
    draw = np.random.default_rng(14)
    assert delay(drawn(draw, 0.005, 300, 20), draw, 0.005, 0, 50) == 50


def test_no_test_finds_what_is_too_rare() -> None:
    assert most_found(0.005) < 0.2 < 0.5 < most_found(0.015) < most_found(0.1)
