"""Metrics of answers as functions of sums over rows, so that they can be computed for any resample of the rows."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from build.evaluation.informative import majority, one_answer

# The outputs of one row, one for each input of its request.
Outputs = Sequence[dict[str, Any]]
# The outputs of all rows.
AllOutputs = Sequence[Outputs]
Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """One metric of a task's answers.

    `answer` takes a row's answer out of its outputs, `counts` compares it with the right answer, and `value` makes the
    metric of sums of counts [..., counts]. `as_label` turns an answer of the reference into a right answer, for rows
    that have none.

    `trivial` is the value that needs no look at the text, of `trivial_answer` for the rows' right answers and their
    number of inputs, None where there is none to beat; `untold` is what the answers of all rows have in common if they
    tell nothing apart, as text.
    """

    name: str
    answer: Callable[[Outputs], Any]
    counts: Callable[[Any, Any], tuple[float, ...]]
    value: Callable[[Floats], Floats]
    as_label: Callable[[Any], Any] = staticmethod(lambda answer: answer)
    trivial: Callable[[Sequence[Any], Sequence[int]], float | None] = staticmethod(
        lambda right, inputs: None
    )
    trivial_answer: str = ""
    untold: Callable[[Sequence[Any]], str] = one_answer


def mean(sums: Floats) -> Floats:
    """Return the mean of scores from their sum and number."""
    means: Floats = sums[..., 0] / sums[..., 1]
    return means


def f1(sums: Floats) -> Floats:
    """Return micro F1 from true positives, predicted and right ones; 1 if there are none of the latter two."""
    both = sums[..., 1] + sums[..., 2]
    values: Floats = np.where(both > 0, 2 * sums[..., 0] / np.maximum(both, 1), 1.0)
    return values


def equal(answer: Any, right: Any) -> tuple[float, ...]:
    """Return the counts of an answer that is right or wrong, for `mean`."""
    return float(answer == right), 1.0


def overlap(answer: frozenset[Any], right: frozenset[Any]) -> tuple[float, ...]:
    """Return the counts of a set of answers, for `f1`."""
    return float(len(answer & right)), float(len(answer)), float(len(right))


def majority_of(right: Sequence[Any], inputs: Sequence[int]) -> float | None:
    """Return the accuracy of the most frequent right answer, for `trivial`."""
    return majority(right)


MAJORITY = "always giving the most frequent answer"
# The share of rows whose only label is right.
ACCURACY = Metric(
    name="accuracy",
    answer=lambda outputs: outputs[0]["label"],
    counts=equal,
    value=mean,
    trivial=majority_of,
    trivial_answer=MAJORITY,
)
