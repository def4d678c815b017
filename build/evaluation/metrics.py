"""The task's own metric: what a row's outputs answer, and what that counts for against the right answer.

A metric is a function of sums over rows, so that it can be had for any resample of the rows at once.
"""

import re
import string
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from contracts.specs import Gate
from contracts.tasks import Task

Outputs = Sequence[dict[str, Any]]
Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """`answer` of a row's outputs; `counts` of an answer against the right one; `value` of sums [..., counts].

    `right` makes of an answer of the original a right one, for rows that have none of their own.
    """

    name: str
    answer: Callable[[Outputs], Any]
    counts: Callable[[Any, Any], tuple[float, ...]]
    value: Callable[[Floats], Floats]
    right: Callable[[Any], Any] = staticmethod(lambda answer: answer)


def below_threshold(name: str, built: float, original: float, gate: Gate) -> list[str]:
    """What the gate says of a metric that has fallen too far; a correlation may be below 0, and falls farther there."""
    ratio = gate.min_accuracy_ratio
    least = original * ratio if original >= 0 else original * (2 - ratio)
    if built >= least:
        return []
    return [
        f"{name} {built:.4f} is below {least:.4f} "
        f"(min_accuracy_ratio {ratio:g} of the original's {original:.4f})"
    ]


def _share(sums: Floats) -> Floats:
    found: Floats = sums[..., 0] / sums[..., 1]
    return found


def _f1(sums: Floats) -> Floats:
    """2 * true positives over predicted and right ones; 1 where there is nothing to find and nothing is found."""
    both = sums[..., 1] + sums[..., 2]
    found: Floats = np.where(both > 0, 2 * sums[..., 0] / np.maximum(both, 1), 1.0)
    return found


def _equal(answer: Any, right: Any) -> tuple[float, ...]:
    return float(answer == right), 1.0


def _sets(answer: Any, right: Any) -> tuple[float, ...]:
    return float(len(answer & right)), float(len(answer)), float(len(right))


def _label(outputs: Outputs) -> Any:
    return outputs[0]["label"]


def _labels(outputs: Outputs) -> Any:
    return frozenset(entry["label"] for entry in outputs[0]["labels"])


def _entities(outputs: Outputs) -> Any:
    return frozenset((e["start"], e["end"], e["label"]) for e in outputs[0]["entities"])


def _mask(outputs: Outputs) -> Any:
    masks = outputs[0]["masks"]
    return masks[0]["token"] if masks else None


def _ranks(outputs: Outputs) -> Any:
    return tuple(output["rank"] for output in outputs)


def _reciprocal(answer: Any, right: Any) -> tuple[float, ...]:
    """One over the rank that the best text was given."""
    return 1 / answer[right], 1.0


def _span(outputs: Outputs) -> Any:
    return outputs[0]["answer"]


def _overlap(answer: Any, right: Any) -> tuple[float, ...]:
    """F1 of the words in common with the nearest right answer, as SQuAD has it (arXiv:1606.05250)."""
    return max(_word_f1(_words(answer), _words(text)) for text in right), 1.0


def _words(text: str) -> list[str]:
    bare = "".join(c for c in text.lower() if c not in string.punctuation)
    return re.sub(r"\b(a|an|the)\b", " ", bare).split()


def _word_f1(one: list[str], other: list[str]) -> float:
    if not one or not other:
        return float(one == other)
    return 2 * sum((Counter(one) & Counter(other)).values()) / (len(one) + len(other))


ACCURACY = Metric(name="accuracy", answer=_label, counts=_equal, value=_share)
MULTI_LABEL = Metric(name="micro F1", answer=_labels, counts=_sets, value=_f1)
# Their answers are led along a text, and told apart by perplexity: see build.perplexity.
WRITES = (Task.TEXT_GENERATION, Task.TEXT2TEXT_GENERATION)
METRICS: dict[Task, Metric] = {
    Task.TEXT_CLASSIFICATION: ACCURACY,
    Task.ZERO_SHOT_CLASSIFICATION: ACCURACY,
    Task.TOKEN_CLASSIFICATION: Metric(name="entity F1", answer=_entities, counts=_sets, value=_f1),
    Task.TEXT_RANKING: Metric(
        name="mean reciprocal rank",
        answer=_ranks,
        counts=_reciprocal,
        value=_share,
        right=lambda ranks: ranks.index(1),
    ),
    Task.FILL_MASK: Metric(name="accuracy", answer=_mask, counts=_equal, value=_share),
    Task.QUESTION_ANSWERING: Metric(
        name="word F1", answer=_span, counts=_overlap, value=_share, right=lambda span: (span,)
    ),
}
