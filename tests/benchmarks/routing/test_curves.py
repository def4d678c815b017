"""A router's figures are those that one computes by hand, and chance and the oracle are where they have to be."""

import numpy as np
import pytest

from benchmarks.routing.curves import apgr, cpt, curve

# Ten rows, of which the large model alone is right on four, the small one alone on one.
GAIN = np.array([1.0, 1, 1, 1, -1, 0, 0, 0, 0, 0])
EVEN = np.ones(10)


def test_the_area_is_the_one_of_the_steps_by_hand() -> None:
    # Recovered after each row: 1/3, 2/3, 1, 4/3, 1, 1, ... ; trapezia from 0.
    steps = [0, 1 / 3, 2 / 3, 1, 4 / 3, 1, 1, 1, 1, 1, 1]
    by_hand = sum((a + b) / 2 for a, b in zip(steps, steps[1:], strict=False)) / 10
    assert apgr(EVEN, GAIN) == pytest.approx(by_hand)


@pytest.mark.parametrize(("wanted", "share"), [(0.3, 0.1), (0.5, 0.2), (0.8, 0.3), (1.0, 0.3)])
def test_the_least_share_that_recovers_a_part_is_counted_in_rows(
    wanted: float, share: float
) -> None:
    assert cpt(EVEN, GAIN, wanted) == pytest.approx(share)


def test_a_row_that_counts_twice_is_like_two_rows() -> None:
    twice = np.array([2.0, 1, 1, 1, 1, 1, 1, 1, 1, 1])
    assert cpt(twice, GAIN, 0.5) == pytest.approx(
        cpt(np.ones(11), np.concatenate([[1.0], GAIN]), 0.5)
    )


def test_no_order_is_better_than_the_oracles_or_worse_than_its_reverse() -> None:
    draw = np.random.default_rng(3)
    worst, best = apgr(EVEN, np.sort(GAIN)), apgr(EVEN, -np.sort(-GAIN))
    for _ in range(200):
        assert worst - 1e-9 <= apgr(EVEN, draw.permutation(GAIN)) <= best + 1e-9


@pytest.mark.slow
def test_chance_recovers_half_of_the_gap_on_average() -> None:
    draw = np.random.default_rng(5)
    gain = draw.choice([1.0, 0, -1], 3000, p=[0.2, 0.75, 0.05])
    found = curve(draw.random(3000), gain)
    assert found.apgr.low < 0.5 < found.apgr.high
    assert found.cpt50.low < 0.5 < found.cpt50.high
    assert found.undefined == 0


def test_the_most_urgent_rows_go_first() -> None:
    gain = np.array([0.0] * 50 + [1.0] * 50)
    assert curve(gain, gain).cpt80.value == pytest.approx(0.4)
    assert curve(-gain, gain).cpt80.value == pytest.approx(0.9)


def test_a_large_model_that_is_no_better_leaves_no_gap_to_recover() -> None:
    with pytest.raises(ValueError, match="no gap"):
        curve(EVEN, np.array([1.0, -1, 0, 0, 0, 0, 0, 0, 0, 0]))


def test_resamples_without_a_gap_are_counted() -> None:
    assert 0 < curve(EVEN, GAIN).undefined < 0.2
