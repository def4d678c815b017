"""Thresholds keep the bound that they promise, and are those of MAPIE, which has the same method."""

import numpy as np
import pytest
from mapie.risk_control.fwer_control import control_fwer
from mapie.risk_control.methods import compute_hoeffding_bentkus_p_value
from scipy.stats import binomtest

from build.cascade.thresholds import (
    Booleans,
    Floats,
    Outcome,
    chosen,
    grid_of,
    outcomes,
    rows_needed,
    upper_bound,
)

ASSURANCE = 0.95


def drawn(draw: np.random.Generator, rows: int) -> tuple[Floats, Booleans]:
    """Return confidences, and losses of which the less certain rows have more."""
    confidences = draw.random(rows)
    return confidences, draw.random(rows) < 0.2 * (1 - confidences) ** 2


def risk(threshold: float) -> float:
    """Return the share of `drawn` rows that a threshold keeps and loses, by the integral of their density."""
    return 0.2 * (1 - threshold) ** 3 / 3


@pytest.mark.parametrize(("lost", "rows"), [(0, 299), (3, 500), (17, 400), (5, 5)])
def test_the_bound_is_the_exact_one_of_a_binomial_share(lost: int, rows: int) -> None:
    exact = binomtest(lost, rows, alternative="less").proportion_ci(ASSURANCE, method="exact")
    assert upper_bound(lost, rows, ASSURANCE) == pytest.approx(exact.high)


def test_as_many_rows_are_needed_as_the_bound_takes_without_a_loss() -> None:
    assert rows_needed(0.01, ASSURANCE) == 299
    for max_loss in (0.5, 0.05, 0.013, 0.001):
        needed = rows_needed(max_loss, ASSURANCE)
        assert upper_bound(0, needed, ASSURANCE) <= max_loss < upper_bound(0, needed - 1, ASSURANCE)


def test_the_grid_falls_from_the_highest_confidence_to_what_keeps_all() -> None:
    grid = grid_of(np.array([0.2, 0.9, 0.9, 0.5]))
    assert grid[0] == 0.9
    assert grid[-1] == 0.0
    assert list(grid) == sorted(set(grid), reverse=True)


@pytest.mark.parametrize("max_loss", [0.01, 0.03, 0.05])
def test_the_thresholds_that_pass_are_those_of_mapie(max_loss: float) -> None:
    draw = np.random.default_rng(7)
    passed = 0
    for rows in (300, 500, 1000):
        confidences, losses = drawn(draw, rows)
        grid = grid_of(drawn(draw, rows)[0])
        tested = outcomes(confidences, losses, grid, ASSURANCE)
        shares = np.array([one.lost / one.rows for one in tested])
        values = compute_hoeffding_bentkus_p_value(shares, rows, max_loss, binary=True)[:, 0]
        valid = control_fwer(values, 1 - ASSURANCE, fwer_method="fixed_sequence")
        best = chosen(tested, max_loss)
        assert (best is None) == (len(valid) == 0)
        if best:
            assert best.threshold == grid[max(valid)]
            passed += 1
    assert passed


@pytest.mark.slow
def test_the_bound_holds_as_often_as_it_promises() -> None:
    draw = np.random.default_rng(11)
    kept = 0
    draws, max_loss = 1000, 0.03
    for _ in range(draws):
        grid = grid_of(drawn(draw, 400)[0])
        best = chosen(outcomes(*drawn(draw, 400), grid, ASSURANCE), max_loss)
        kept += best is None or risk(best.threshold) <= max_loss
    # Of so many draws at 95 %, fewer hold in one of a thousand runs by chance.
    assert kept >= draws * ASSURANCE - 3.1 * (draws * ASSURANCE * (1 - ASSURANCE)) ** 0.5


def test_a_threshold_behind_one_that_fails_is_not_taken() -> None:
    def one(threshold: float, bound: float) -> Outcome:
        return Outcome(threshold=threshold, rows=9, kept=9, lost=0, bound=bound)

    tested = [one(0.9, 0.005), one(0.8, 0.02), one(0.7, 0.009)]
    best = chosen(tested, 0.01)
    assert best is not None
    assert best.threshold == 0.9
    assert chosen(tested[1:], 0.01) is None
