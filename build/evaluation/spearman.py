"""Spearman's rank correlation of rows' scores with what two models find, and its intervals over resampled rows."""

from dataclasses import dataclass

import numpy as np

from build.evaluation.bootstrap import RESAMPLES, bootstrap_counts
from build.evaluation.metrics import Floats

# Resamples that are ranked together: their weights take memory.
AT_ONCE = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Correlations:
    """Of the scores with what the original finds and with what was built, each with its 95 % interval.

    Intervals are percentiles over resampled rows (bootstrap, Efron 1979); the difference is built minus original on
    the same rows (paired).
    """

    original: float
    original_low: float
    original_high: float
    built: float
    built_low: float
    built_high: float
    difference_low: float
    difference_high: float


def correlations(scores: Floats, original: Floats, built: Floats) -> Correlations:
    """Of three columns: [rows] each."""

    def both(weights: Floats) -> Floats:
        return np.stack([spearman(scores, column, weights) for column in (original, built)])

    whole = both(np.ones((1, len(scores))))[:, 0]
    parts = np.array_split(bootstrap_counts(len(scores)), RESAMPLES // AT_ONCE)
    before, after = np.concatenate([both(part) for part in parts], axis=1)
    low, high = np.percentile([before, after, after - before], [2.5, 97.5], axis=1)
    return Correlations(
        original=float(whole[0]),
        original_low=float(low[0]),
        original_high=float(high[0]),
        built=float(whole[1]),
        built_low=float(low[1]),
        built_high=float(high[1]),
        difference_low=float(low[2]),
        difference_high=float(high[2]),
    )


def spearman(one: Floats, other: Floats, weights: Floats) -> Floats:
    """Spearman's rank correlation of two columns, each row as often as its weight says: weights [n, rows] -> [n].

    It is the product-moment correlation of ranks (Spearman 1904, doi:10.2307/1412159). Rows that are equal share the
    mean of their ranks (Kendall 1945, doi:10.1093/biomet/33.3.239). Where all rows are equal there is none: 0.
    """
    first, second = _ranks(one, weights), _ranks(other, weights)
    total = weights.sum(axis=1, keepdims=True)
    first = first - (weights * first).sum(axis=1, keepdims=True) / total
    second = second - (weights * second).sum(axis=1, keepdims=True) / total
    squares = (weights * first**2).sum(axis=1) * (weights * second**2).sum(axis=1)
    products: Floats = (weights * first * second).sum(axis=1)
    found: Floats = np.zeros_like(products)
    np.divide(products, np.sqrt(squares), out=found, where=squares > 0)
    return found


def _ranks(column: Floats, weights: Floats) -> Floats:
    """The rank of each row in each resample, from 1: [n, rows]."""
    _, groups, counts = np.unique(column, return_inverse=True, return_counts=True)
    ordered = weights[:, np.argsort(groups, kind="stable")]
    sums = np.add.reduceat(ordered, np.cumsum(counts) - counts, axis=1)
    before = np.cumsum(sums, axis=1) - sums
    ranks: Floats = (before + (sums + 1) / 2)[:, groups]
    return ranks
