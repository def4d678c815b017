"""Comparison of generated texts with those that rows say: the same, the words in common, and how far they go together.

Texts are compared as SQuAD's answers are (arXiv:1606.05250): without case, punctuation and articles.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from build.evaluation.bootstrap import bootstrap_counts, wilson
from build.evaluation.metrics import Metric, equal, mean
from contracts.cascade.agreement import words_written

# The share of rows whose text says the same as the right one.
EXACT_MATCH = Metric(
    name="exact match",
    answer=lambda outputs: outputs[0]["generated_text"],
    counts=lambda answer, right: equal(words_written(answer), words_written(right)),
    value=mean,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class TextFigures:
    """Texts against the right ones, each figure with its 95 % confidence interval.

    `exact` is the share of texts that say the same, with an interval by Wilson. The others are means over the texts,
    with intervals over resampled rows (bootstrap): `overlap` is the F1 of the words of both, `prefix` the share of the
    right text's words before the first that differs.
    """

    texts: int
    exact: float
    exact_low: float
    exact_high: float
    overlap: float
    overlap_low: float
    overlap_high: float
    prefix: float
    prefix_low: float
    prefix_high: float


def compare_texts(texts: Sequence[str], right: Sequence[str]) -> TextFigures:
    """Return the figures of texts, of which there is at least one."""
    pairs = [(words_written(a), words_written(b)) for a, b in zip(texts, right, strict=True)]
    same = sum(one == other for one, other in pairs)
    low, high = wilson(same, len(pairs))
    values = np.array([(overlap(a, b), common_prefix(a, b)) for a, b in pairs])
    resampled = bootstrap_counts(len(pairs)) @ values / len(pairs)
    lows, highs = np.percentile(resampled, [2.5, 97.5], axis=0).tolist()
    means = values.mean(axis=0).tolist()
    return TextFigures(
        texts=len(pairs),
        exact=same / len(pairs),
        exact_low=low,
        exact_high=high,
        overlap=means[0],
        overlap_low=lows[0],
        overlap_high=highs[0],
        prefix=means[1],
        prefix_low=lows[1],
        prefix_high=highs[1],
    )


def overlap(text: Sequence[str], right: Sequence[str]) -> float:
    """Return the F1 of the words of two texts, each word as often as it occurs."""
    return 2 * (Counter(text) & Counter(right)).total() / (len(text) + len(right))


def common_prefix(text: Sequence[str], right: Sequence[str]) -> float:
    """Return the share of the right text's words before the first that differs."""
    parted = (i for i, word in enumerate(right) if list(text[i : i + 1]) != [word])
    return next(parted, len(right)) / len(right)
