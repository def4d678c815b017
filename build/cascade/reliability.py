"""The reliability of confidences: how often answers of a confidence are right, as they come and after isotonic fit."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from contracts.cascade.calibration import Bin

Floats = NDArray[np.float64]
BINS = 10


def bins_of(confidences: Floats, right: Floats, count: int = BINS) -> tuple[Bin, ...]:
    """Return the rows in at most `count` bins of equal size, by their confidence."""
    order = np.argsort(confidences, kind="stable")
    parts = [part for part in np.array_split(order, count) if len(part)]
    return tuple(
        Bin(
            rows=len(part),
            confidence=float(confidences[part].mean()),
            right=float(right[part].mean()),
        )
        for part in parts
    )


def calibration_error(confidences: Floats, right: Floats) -> float:
    """Return the expected calibration error over bins of equal size (Nixon et al. 2019, arXiv:1904.01685)."""
    bins = bins_of(confidences, right)
    rows = sum(one.rows for one in bins)
    return sum(one.rows * abs(one.confidence - one.right) for one in bins) / rows


def isotonic(confidences: Floats, right: Floats) -> Callable[[Floats], Floats]:
    """Return a function that makes probabilities of confidences: the nearest that never falls as they rise."""
    from scipy.optimize import isotonic_regression

    # Rows of one confidence get one probability.
    levels, places = np.unique(confidences, return_inverse=True)
    weights = np.bincount(places).astype(np.float64)
    means = np.bincount(places, weights=right) / weights
    fitted = isotonic_regression(means, weights=weights).x
    return lambda values: np.interp(values, levels, fitted)
