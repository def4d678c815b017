"""Spearman's rank correlation of rows' scores with what two models find, and its confidence intervals."""

import math
from typing import Any, NamedTuple

import numpy as np

from build.evaluation.bootstrap import RESAMPLES, bootstrap_counts
from build.evaluation.metrics import Floats

# The name of the metric.
SPEARMAN = "Spearman correlation"
CHANCE = "unrelated numbers, on average"
# Resamples that are ranked together: their weights take memory.
BATCH = 100


class Interval(NamedTuple):
    """A figure with its 95 % interval: percentiles over resampled rows (bootstrap, Efron 1979)."""

    value: float
    low: float
    high: float


def correlations(scores: Floats, reference: Floats, candidate: Floats) -> tuple[Interval, ...]:
    """Return the correlations of the scores with what the reference and the candidate find, and their difference.

    Columns are [rows], or [rows, columns] of which each has a correlation, and their mean counts. The difference is
    candidate minus reference on the same rows (paired).
    """
    right, *found = (np.atleast_2d(table.T) for table in (scores, reference, candidate))

    def both(weights: Floats) -> Floats:
        pairs = [list(zip(right, columns, strict=True)) for columns in found]
        return np.array(
            [np.mean([spearman(*pair, weights) for pair in own], axis=0) for own in pairs]
        )

    whole = both(np.ones((1, len(scores))))[:, 0]
    batches = np.array_split(bootstrap_counts(len(scores)), RESAMPLES // BATCH)
    before, after = np.concatenate([both(batch) for batch in batches], axis=1)
    low, high = np.percentile([before, after, after - before], [2.5, 97.5], axis=1)
    values = (*whole, whole[1] - whole[0])
    return tuple(Interval(*map(float, each)) for each in zip(values, low, high, strict=True))


def correlation_figures(scores: Floats, reference: Floats, candidate: Floats) -> dict[str, Any]:
    """Return the correlations of `correlations` by the names that figures and evidence have for them."""
    original, built, difference = correlations(scores, reference, candidate)
    return {
        "metric": SPEARMAN,
        "reference": "labels",
        "metric_original": original.value,
        "metric_original_low": original.low,
        "metric_original_high": original.high,
        "metric_built": built.value,
        "metric_built_low": built.low,
        "metric_built_high": built.high,
        "difference_low": difference.low,
        "difference_high": difference.high,
    }


def correlation(right: Floats, found: Floats) -> float:
    """Return the correlation of two columns [rows], or the mean of those of several [rows, columns]."""
    once = np.ones((1, len(right)))
    pairs = zip(np.atleast_2d(right.T), np.atleast_2d(found.T), strict=True)
    return float(np.mean([spearman(*pair, once) for pair in pairs]))


def chance(rows: int) -> float:
    """Return the size of the correlation that two unrelated columns have on average.

    Its standard deviation is the inverse root of rows - 1 (Kendall 1948, Rank Correlation Methods), and the mean size
    of a normal variable is the root of 2/pi of that.
    """
    return math.sqrt(2 / math.pi / (rows - 1))


def spearman(one: Floats, other: Floats, weights: Floats) -> Floats:
    """Return Spearman's rank correlation of two columns, each row counted by its weight: weights [n, rows] -> [n].

    It is the product-moment correlation of ranks (Spearman 1904, doi:10.2307/1412159). Equal rows share the mean of
    their ranks (Kendall 1945, doi:10.1093/biomet/33.3.239). If all rows are equal it is undefined, and 0 is returned.
    """
    first, second = _ranks(one, weights), _ranks(other, weights)
    total = weights.sum(axis=1, keepdims=True)
    first = first - (weights * first).sum(axis=1, keepdims=True) / total
    second = second - (weights * second).sum(axis=1, keepdims=True) / total
    squares = (weights * first**2).sum(axis=1) * (weights * second**2).sum(axis=1)
    products: Floats = (weights * first * second).sum(axis=1)
    correlation: Floats = np.zeros_like(products)
    np.divide(products, np.sqrt(squares), out=correlation, where=squares > 0)
    return correlation


def _ranks(column: Floats, weights: Floats) -> Floats:
    """Return the rank of each row in each resample, from 1: [n, rows]."""
    _, groups, counts = np.unique(column, return_inverse=True, return_counts=True)
    ordered = weights[:, np.argsort(groups, kind="stable")]
    sums = np.add.reduceat(ordered, np.cumsum(counts) - counts, axis=1)
    before = np.cumsum(sums, axis=1) - sums
    # A group of n equal rows takes the ranks from before + 1 to before + n, whose mean this is.
    ranks: Floats = (before + (sums + 1) / 2)[:, groups]
    return ranks
