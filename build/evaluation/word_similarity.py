"""How near a table of word vectors comes to its original: the vectors, the nearest words, and people's judgement."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from build.evaluation.embedding_similarity import VectorFigures, pair_cosines, vectors
from build.evaluation.metrics import Outputs
from build.evaluation.rows import Row
from build.evaluation.spearman import correlations

Pairs = list[tuple[float, Outputs, Outputs]]


@dataclass(frozen=True, slots=True, kw_only=True)
class WordFigures(VectorFigures):
    """Besides the cosines: `neighbours` is the share of the nearest words that are the original's.

    Where rows are pairs of words with a score that people gave, `spearman` is the rank correlation of the words'
    cosines with it, over the `pairs` whose words are both known, and `difference_low` to `difference_high` the 95 %
    interval of built minus original over resampled pairs (paired bootstrap).
    """

    neighbours: float
    found: float
    pairs: int = 0
    spearman_original: float = 0.0
    spearman_built: float = 0.0
    difference_low: float = 0.0
    difference_high: float = 0.0


def measure(
    built: Sequence[Outputs], original: Sequence[Outputs], rows: Sequence[Row]
) -> WordFigures:
    """The figures of words and pairs of them; what neither has a vector of is left out."""
    both = list(_side_by_side(built, original))
    known = [(ours, theirs) for ours, theirs in both if theirs["found"]]
    pairs = [
        (row.answer, theirs, ours)
        for row, theirs, ours in zip(rows, original, built, strict=True)
        if row.answer is not None and all(output["found"] for output in theirs)
    ]
    return WordFigures(
        **asdict(vectors(built, original)),
        neighbours=float(np.mean([_shared(*pair) for pair in known])),
        found=len(known) / len(both),
        **(_judged(pairs) if len(pairs) > 2 else {}),
    )


def _side_by_side(
    built: Sequence[Outputs], original: Sequence[Outputs]
) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    for ours, theirs in zip(built, original, strict=True):
        yield from zip(ours, theirs, strict=True)


def _shared(ours: dict[str, Any], theirs: dict[str, Any]) -> float:
    if not any(theirs["embedding"]):  # all words are as near to a vector of zeros
        return 1.0
    wanted = {entry["word"] for entry in theirs["nearest"]}
    found = {entry["word"] for entry in ours["nearest"]}
    return len(wanted & found) / max(len(wanted), 1)


def _judged(pairs: Pairs) -> dict[str, Any]:
    scores, theirs, ours = zip(*pairs, strict=True)
    found = correlations(np.array(scores), pair_cosines(theirs), pair_cosines(ours))
    return {
        "pairs": len(pairs),
        "spearman_original": found.original,
        "spearman_built": found.built,
        "difference_low": found.difference_low,
        "difference_high": found.difference_high,
    }
