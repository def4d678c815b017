"""The simulated alarm of a canary is the one that is deployed, and keeps what is said of it."""

import math

import numpy as np
import pytest
from scipy.stats import binom

from benchmarks.canary import Canary, evidence, rings
from contracts.cascade.drift import LIMIT
from local.metrics.expressions import value_of
from stacks.canaries.agreement import EVIDENCE

NAMES = ("contradicted", "asked", "before", "asked_before")


def test_the_evidence_is_what_the_alarm_computes() -> None:
    draw = np.random.default_rng(3)
    asked, asked_before = draw.integers(1, 900, (2, 200))
    contradicted, before = draw.binomial(asked, 0.3), draw.binomial(asked_before, 0.1)
    many = evidence(contradicted, asked, before, asked_before)
    for one, *counts in zip(many, contradicted, asked, before, asked_before, strict=True):
        values = dict(zip(NAMES, map(float, counts), strict=True))
        assert value_of(EVIDENCE, values) == pytest.approx(one, abs=1e-3)


@pytest.mark.parametrize("asked", [1, 20, 1_000])
def test_without_the_version_before_there_is_no_evidence(asked: int) -> None:
    for contradicted in range(asked + 1):
        values = dict(zip(NAMES, (contradicted, asked, 0.0, 0.0), strict=True))
        assert value_of(EVIDENCE, values) <= 0


def test_fewer_than_five_contradictions_never_ring() -> None:
    least = [
        value_of(EVIDENCE, dict(zip(NAMES, (n, n, 0.0, 1e9), strict=True))) for n in (4.0, 5.0)
    ]
    assert least[0] < math.log(LIMIT) <= least[1]


@pytest.mark.parametrize("minutes", [10, 30])
@pytest.mark.parametrize(("compared", "rate"), [(100, 0.05), (100, 0.2), (1_000, 0.05)])
def test_a_version_that_is_as_good_is_hardly_ever_taken_back(
    minutes: int, compared: float, rate: float
) -> None:
    """In one canary of 30 at most, over all its evaluations; at each one in 20 at most is proved."""
    draw, runs = np.random.default_rng(14), 2_000
    canary = Canary(minutes=minutes, compared=compared, before=rate, after=rate)
    # So many by chance in one of 1,000 tests, if it were just kept.
    assert rings(draw, canary, runs) * runs <= binom.ppf(0.999, runs, 1 / 30)


def test_a_version_that_is_worse_is_taken_back() -> None:
    draw = np.random.default_rng(14)
    for compared, times in ((100, 4), (1_000, 2)):
        canary = Canary(minutes=10, compared=compared, before=0.05, after=0.05 * times)
        assert rings(draw, canary, 1_000) >= 0.9
