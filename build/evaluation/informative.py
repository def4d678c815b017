"""The check that rows tell a model that answers from one that does not, made on the reference's own answers.

A gate that compares candidates with a reference that is no better than a trivial answer compares nothing: any candidate
passes. What is trivial for a task stands with its comparison; here is what every comparison of answers shares.
"""

from collections import Counter
from collections.abc import Sequence
from typing import Any

# With fewer rows, one wrong answer more or less decides whether a majority is beaten, and equal answers are chance.
MIN_ROWS = 10
# Two correlations, or shares of rows, that differ by less are equal.
EQUAL = 1e-9


def majority(right: Sequence[Any]) -> float | None:
    """Return the share of rows that the most frequent right answer is right for; None if all rows have the same.

    Where there is one class, no model is better than always answering it.
    """
    counts = Counter(right)
    return max(counts.values()) / len(right) if len(counts) > 1 else None


def best_set(right: Sequence[frozenset[str]]) -> float | None:
    """Return the highest micro F1 of any one set of labels for all rows; None if all rows have the same.

    For each number of labels that is the set of the most frequent ones, as it has the most true positives.
    """
    if len(set(right)) == 1:
        return None
    counts = Counter(label for labels in right for label in labels)
    total, hits, best = counts.total(), 0, 0.0
    for number, (_, count) in enumerate(counts.most_common(), start=1):
        hits += count
        best = max(best, 2 * hits / (number * len(right) + total))
    return best


def one_answer(answers: Sequence[Any]) -> str:
    """Return the only answer that is given to all rows, as text; "" if there are several."""
    if len(set(answers)) > 1:
        return ""
    only = answers[0]
    shown = sorted(only) if isinstance(only, frozenset) else only
    return f"the same answer, {shown!r}"


def no_better(name: str, value: float, trivial: float, what: str) -> list[str]:
    """Return the finding that a figure is no better than a trivial one, if it is not."""
    if value > trivial + EQUAL:
        return []
    return [f"the reference's {name} is {value:.4f}, no better than the {trivial:.4f} of {what}"]
