"""Comparison of models that answer with numbers: how near they are to the reference's, and to those of the rows."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import ClassVar

import numpy as np

from build.evaluation.bootstrap import bootstrap_counts
from build.evaluation.gate import below_threshold
from build.evaluation.informative import no_better
from build.evaluation.metrics import AllOutputs, Floats, Outputs
from build.evaluation.rows import Row
from build.evaluation.spearman import CHANCE, SPEARMAN, chance, correlation, correlation_figures
from contracts.specs import Gate

# Numbers whose reference does not vary, of one row for example, are told apart by this share of their size.
SHARE_OF_SIZE = 0.1
# Numbers whose range is a smaller share of their size are all the same.
SAME = 1e-6
# The share of a number by which another processor may change it, in 8 bits.
NEAR_ELSEWHERE = 0.02


@dataclass(frozen=True, slots=True, kw_only=True)
class NumberFigures:
    """A regression model against its reference, by the coefficient of determination (R²) of its numbers.

    `determination` is 1 minus the mean squared difference over the variance of the reference's numbers: 1 if they are
    the same, 0 if they are no nearer than their mean. Of several outputs it is the lowest; `determination_low` to
    `determination_high` is its 95 % confidence interval over resampled rows (bootstrap). `farthest` is the largest
    difference of any number.
    """

    # The name of `similarity` where the reference is this machine.
    similarity_name: ClassVar[str] = "R² to the numbers here"

    determination: float
    determination_low: float
    determination_high: float
    farthest: float

    def problems(self, gate: Gate) -> list[str]:
        """Return each figure that is below its threshold."""
        if self.determination >= gate.min_agreement:
            return []
        return [
            f"R² {self.determination:.4f} of the numbers to the reference's is below min_agreement "
            f"{gate.min_agreement:g} (the farthest is {self.farthest:.4g} away)"
        ]

    @property
    def similarity(self) -> float:
        """Return the similarity of the candidate to the reference: 1 if they are the same, less otherwise."""
        return self.determination

    @staticmethod
    def threshold(gate: Gate) -> float:
        """Return the lowest similarity that passes the gate."""
        return gate.min_agreement


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoredNumberFigures(NumberFigures):
    """Besides that: Spearman's rank correlation with the numbers in the rows, of several outputs the mean of theirs.

    `metric_original_low` to `metric_original_high`, `metric_built_low` to `metric_built_high` and `difference_low` to
    `difference_high`, which is of built minus original on the same rows, are 95 % confidence intervals over resampled
    rows (bootstrap).
    """

    metric: str
    reference: str
    metric_original: float
    metric_original_low: float
    metric_original_high: float
    metric_built: float
    metric_built_low: float
    metric_built_high: float
    difference_low: float
    difference_high: float

    def problems(self, gate: Gate) -> list[str]:
        """Return each figure that is below its threshold, the correlation first."""
        problems = below_threshold(self.metric, self.metric_built, self.metric_original, gate)
        return problems + NumberFigures.problems(self, gate)


def compare_numbers(
    candidate: AllOutputs, reference: AllOutputs, rows: Sequence[Row]
) -> NumberFigures:
    """Return the figures of the numbers of a candidate, and of the rows' own if they have any."""
    names = sorted(numbers_of(reference[0]))
    ours, theirs = (_table(every, names) for every in (candidate, reference))
    figures = near(ours, theirs)
    if rows[0].answer is None:
        return figures
    right = np.array([[row.answer[name] for name in names] for row in rows])
    return ScoredNumberFigures(**asdict(figures), **correlation_figures(right, theirs, ours))


def uninformative_numbers(reference: AllOutputs, rows: Sequence[Row]) -> list[str]:
    """Return why the reference's numbers tell nothing: all rows have the same, or no rank correlation with theirs."""
    names = sorted(numbers_of(reference[0]))
    numbers = _table(reference, names)
    if (np.ptp(numbers, axis=0) <= SAME * np.abs(numbers).max()).all():
        shown = ", ".join(f"{number:.4g}" for number in numbers[0])
        return [f"the reference gives all {len(rows)} rows the same numbers, {shown}"]
    if rows[0].answer is None:
        return []
    right = np.array([[row.answer[name] for name in names] for row in rows])
    return no_better(SPEARMAN, correlation(right, numbers), chance(len(rows)), CHANCE)


def numbers_of(outputs: Outputs) -> dict[str, float]:
    """Return the number of each output of a regression model by its name, for one row."""
    output = outputs[0]
    return {entry["label"]: entry["score"] for entry in output.get("top", [output])}


def same_numbers(one: Outputs, other: Outputs) -> bool:
    """Return whether the numbers of a row are as near as another processor leaves them."""
    ours, theirs = numbers_of(one), numbers_of(other)
    return ours.keys() == theirs.keys() and all(
        abs(ours[name] - theirs[name]) <= NEAR_ELSEWHERE * max(1, abs(theirs[name]))
        for name in theirs
    )


def _table(answers: AllOutputs, names: Sequence[str]) -> Floats:
    """Return the numbers [rows, outputs]."""
    found = map(numbers_of, answers)
    return np.array([[numbers[name] for name in names] for numbers in found], np.float64)


def near(ours: Floats, theirs: Floats) -> NumberFigures:
    """Return how near numbers [rows, outputs] are to the reference's."""
    variance = theirs.var(axis=0)
    scale = np.where(variance > 0, variance, (SHARE_OF_SIZE * theirs).max(axis=0) ** 2)
    # Numbers that are all zero have no scale, and any other is as far as can be.
    shares = (ours - theirs) ** 2 / np.maximum(scale, 1e-12)
    resampled = bootstrap_counts(len(shares)) @ shares / len(shares)
    low, high = np.percentile(1 - resampled.max(axis=1), [2.5, 97.5])
    return NumberFigures(
        determination=float(1 - shares.mean(axis=0).max()),
        determination_low=float(low),
        determination_high=float(high),
        farthest=float(np.abs(ours - theirs).max()),
    )
