"""The reliability of confidences is measured as the literature does, and an isotonic fit mends it."""

import numpy as np
import pytest
from sklearn.isotonic import IsotonicRegression

from build.cascade.reliability import bins_of, calibration_error, isotonic


def test_bins_hold_every_row_once_and_rise() -> None:
    draw = np.random.default_rng(3)
    confidences = draw.random(103)
    bins = bins_of(confidences, np.ones(103))
    assert sum(one.rows for one in bins) == 103
    assert [one.confidence for one in bins] == sorted(one.confidence for one in bins)
    assert {one.right for one in bins} == {1.0}


def test_fewer_rows_than_bins_have_a_bin_each() -> None:
    assert [one.rows for one in bins_of(np.array([0.3, 0.1]), np.array([1.0, 0.0]))] == [1, 1]


def test_a_confidence_that_is_always_too_high_is_off_by_as_much() -> None:
    right = np.tile([1.0, 1.0, 0.0, 0.0], 100)
    assert calibration_error(np.full(400, 0.8), right) == pytest.approx(0.3)


def test_the_fit_is_scikit_learns_and_mends_the_error() -> None:
    draw = np.random.default_rng(5)
    confidences = np.round(draw.random(2000), 2)
    right = (draw.random(2000) < confidences**3).astype(np.float64)
    fitted = isotonic(confidences, right)
    theirs = IsotonicRegression(out_of_bounds="clip").fit(confidences, right)
    values = np.linspace(0, 1, 57)
    assert fitted(values) == pytest.approx(theirs.predict(values))
    fresh = np.round(draw.random(2000), 2)
    right = (draw.random(2000) < fresh**3).astype(np.float64)
    assert calibration_error(fitted(fresh), right) < 0.05 < 0.2 < calibration_error(fresh, right)
