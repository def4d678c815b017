"""The bound on resplits and the errors of a confidence, on answers whose risk is known."""

from dataclasses import replace

import numpy as np
import pytest

from benchmarks.routing.bounds import (
    accuracy_difference,
    calibration_errors,
    mean_of,
    resplits,
    threshold_on,
)
from build.cascade.answers import Answers

SPLITS = 40


def drawn(rows: int, seed: int = 1) -> Answers:
    """Return answers of a small model that is right as often as it says, and of a large one that always is."""
    draw = np.random.default_rng(seed)
    confidences = 0.5 + draw.random(rows) / 2
    return Answers(
        confidences=confidences,
        cpu_right=draw.random(rows) < confidences,
        gpu_right=np.ones(rows, bool),
        same=np.ones(rows, bool),
    )


def test_the_bound_holds_on_the_other_half_but_for_noise() -> None:
    found = resplits(drawn(2000), 0.05, SPLITS)
    assert 0 < np.median(found.kept) < 1
    assert found.beyond_noise <= 0.05
    assert found.beyond_noise <= found.above


def test_nothing_is_kept_of_a_small_model_that_is_always_wrong() -> None:
    answers = replace(drawn(2000), cpu_right=np.zeros(2000, bool))
    # But for rows above every confidence of the grid, of which none was seen.
    assert max(resplits(answers, 0.01, SPLITS).kept) < 0.01


def test_no_threshold_is_found_where_the_most_certain_rows_are_lost() -> None:
    answers = replace(drawn(2000), confidences=np.ones(2000), cpu_right=np.zeros(2000, bool))
    assert threshold_on(answers, 0.01) == float("inf")
    assert set(resplits(answers, 0.01, SPLITS).kept) == {0.0}


def test_nothing_is_lost_where_everything_goes_to_the_large_model() -> None:
    nothing = accuracy_difference(drawn(500), 2.0)
    assert (nothing.value, nothing.low, nothing.high) == (0, 0, 0)


def test_everything_that_is_kept_has_the_small_models_accuracy() -> None:
    answers = drawn(500)
    found = accuracy_difference(answers, 0.0)
    assert found.value == pytest.approx(answers.cpu_right.mean() - 1)
    assert found.low < found.value < found.high < 0


def test_an_interval_of_a_mean_is_as_wide_as_theory_has_it() -> None:
    values = np.random.default_rng(2).normal(3, 2, 2000)
    found = mean_of(values)
    assert found.high - found.low == pytest.approx(2 * 1.96 * 2 / 2000**0.5, rel=0.1)


@pytest.mark.slow
def test_a_confidence_that_says_too_much_is_mended_by_the_fit() -> None:
    honest = drawn(3000)
    boasting = replace(honest, confidences=0.9 + honest.confidences / 10)
    before, after = calibration_errors(boasting.at(range(1500)), boasting.at(range(1500, 3000)))
    assert before.low > 0.15
    assert after.value < 0.05
    assert before.low <= before.value <= before.high
