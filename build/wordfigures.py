"""How near a table of word vectors comes to its original: the vectors, the nearest words, and people's judgement."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from build.gate import VectorFigures
from build.metrics import Floats, Outputs
from build.resampling import RESAMPLES, SEED
from build.rows import Row

Pairs = list[tuple[float, float, float]]


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
    vectors: VectorFigures,
    built: Sequence[Outputs],
    original: Sequence[Outputs],
    rows: Sequence[Row],
) -> WordFigures:
    """The figures besides those of the vectors; what neither has a vector of is left out."""
    both = list(_side_by_side(built, original))
    known = [(ours, theirs) for ours, theirs in both if theirs["found"]]
    pairs = [
        (row.answer, _cosine(theirs), _cosine(ours))
        for row, theirs, ours in zip(rows, original, built, strict=True)
        if row.answer is not None and all(output["found"] for output in theirs)
    ]
    return WordFigures(
        cosine_mean=vectors.cosine_mean,
        cosine_p5=vectors.cosine_p5,
        cosine_min=vectors.cosine_min,
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
    wanted = {entry["word"] for entry in theirs["nearest"]}
    found = {entry["word"] for entry in ours["nearest"]}
    return len(wanted & found) / max(len(wanted), 1)


def _cosine(outputs: Outputs) -> float:
    one, other = (np.array(output["embedding"]) for output in outputs)
    norms = np.linalg.norm(one) * np.linalg.norm(other)
    return float(one @ other / max(norms, 1e-12))


def _judged(pairs: Pairs) -> dict[str, Any]:
    right, before, after = (np.array(column) for column in zip(*pairs, strict=True))
    count = len(pairs)
    generator = np.random.default_rng(SEED)
    drawn = generator.multinomial(count, np.full(count, 1 / count), RESAMPLES).astype(np.float64)
    differences = spearman(right, after, drawn) - spearman(right, before, drawn)
    low, high = np.percentile(differences, [2.5, 97.5])
    whole = np.ones((1, count))
    return {
        "pairs": count,
        "spearman_original": float(spearman(right, before, whole)[0]),
        "spearman_built": float(spearman(right, after, whole)[0]),
        "difference_low": float(low),
        "difference_high": float(high),
    }


def spearman(one: Floats, other: Floats, weights: Floats) -> Floats:
    """Spearman's rank correlation of two columns, each row as often as its weight says: weights [n, rows] -> [n].

    Rows that are equal share the mean of their ranks. Where all rows are equal there is no correlation: 0.
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
    groups: NDArray[np.int64]
    values, groups = np.unique(column, return_inverse=True)
    sums = np.zeros((len(weights), len(values)))
    for row, group in enumerate(groups):
        sums[:, group] += weights[:, row]
    before = np.cumsum(sums, axis=1) - sums
    ranks: Floats = (before + (sums + 1) / 2)[:, groups]
    return ranks
