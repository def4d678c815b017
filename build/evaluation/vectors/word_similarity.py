"""Comparison of tables of word vectors: the vectors, the nearest words, and people's judgement of pairs of words."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from build.evaluation.metrics import AllOutputs, Outputs
from build.evaluation.rows import Row
from build.evaluation.spearman import correlations
from build.evaluation.vectors.embedding_similarity import (
    VectorFigures,
    pair_cosines,
    vector_figures,
)

# A pair's score with its outputs of reference and candidate.
Pairs = list[tuple[float, Outputs, Outputs]]
# A correlation of two pairs is 1 or -1, whatever they are.
MIN_PAIRS = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class WordFigures(VectorFigures):
    """Besides the cosines: `neighbours` is the share of the nearest words that are the reference's too.

    If rows are pairs of words with a score that people gave, `spearman` is the rank correlation of the words' cosines
    with it, over the `pairs` whose words are both known, and `difference_low` to `difference_high` the 95 % confidence
    interval of built minus original over resampled pairs (paired bootstrap).
    """

    neighbours: float
    found: float
    pairs: int = 0
    spearman_original: float = 0.0
    spearman_built: float = 0.0
    difference_low: float = 0.0
    difference_high: float = 0.0


def compare_words(candidate: AllOutputs, reference: AllOutputs, rows: Sequence[Row]) -> WordFigures:
    """Return the figures of words and pairs of words, leaving out those that have no vector."""
    both = list(_side_by_side(candidate, reference))
    known = [(ours, theirs) for ours, theirs in both if theirs["found"]]
    pairs = [
        (row.answer, theirs, ours)
        for row, theirs, ours in zip(rows, reference, candidate, strict=True)
        if row.answer is not None and all(output["found"] for output in theirs)
    ]
    return WordFigures(
        **asdict(vector_figures(candidate, reference)),
        neighbours=float(np.mean([_common_neighbours(*pair) for pair in known])),
        found=len(known) / len(both),
        **(_correlated(pairs) if len(pairs) >= MIN_PAIRS else {}),
    )


def _side_by_side(
    candidate: AllOutputs, reference: AllOutputs
) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    for ours, theirs in zip(candidate, reference, strict=True):
        yield from zip(ours, theirs, strict=True)


def _common_neighbours(ours: dict[str, Any], theirs: dict[str, Any]) -> float:
    """Return the share of the reference's nearest words that are among the candidate's."""
    if not any(theirs["embedding"]):  # every word is equally near to a vector of zeros
        return 1.0
    wanted = {entry["word"] for entry in theirs["nearest"]}
    listed = {entry["word"] for entry in ours["nearest"]}
    return len(wanted & listed) / max(len(wanted), 1)


def _correlated(pairs: Pairs) -> dict[str, Any]:
    scores, theirs, ours = zip(*pairs, strict=True)
    original, built, difference = correlations(
        np.array(scores), pair_cosines(theirs), pair_cosines(ours)
    )
    return {
        "pairs": len(pairs),
        "spearman_original": original.value,
        "spearman_built": built.value,
        "difference_low": difference.low,
        "difference_high": difference.high,
    }
