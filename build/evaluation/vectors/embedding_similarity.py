"""Comparison of encoders: the cosine of their vectors, and people's judgement of pairs of texts."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import ClassVar

import numpy as np

from build.evaluation.bootstrap import bootstrap_counts
from build.evaluation.gate import below_threshold
from build.evaluation.informative import MIN_ROWS, no_better
from build.evaluation.metrics import AllOutputs, Floats
from build.evaluation.rows import Row
from build.evaluation.spearman import CHANCE, SPEARMAN, chance, correlation, correlation_figures
from contracts.specs import Gate

# Two vectors with a higher cosine are the same, up to rounding.
SAME_COSINE = 1 - 1e-6


@dataclass(frozen=True, slots=True, kw_only=True)
class VectorFigures:
    """An encoder against its reference: the cosine similarity of their vectors, text by text.

    `cosine_low` to `cosine_high` is the 95 % confidence interval of the mean over resampled rows (bootstrap).
    """

    # The name of `similarity` where the reference is this machine.
    similarity_name: ClassVar[str] = "mean cosine to the vectors here"

    cosine_mean: float
    cosine_low: float
    cosine_high: float
    cosine_p5: float
    cosine_min: float

    def problems(self, gate: Gate) -> list[str]:
        """Return each figure that is below its threshold."""
        checks = (
            ("mean cosine", self.cosine_mean, "min_cosine_mean", gate.min_cosine_mean),
            ("5th percentile of the cosine", self.cosine_p5, "min_cosine_p5", gate.min_cosine_p5),
        )
        return [
            f"{name} {value:.4f} is below {key} {threshold:g}"
            for name, value, key, threshold in checks
            if value < threshold
        ]

    @property
    def similarity(self) -> float:
        """Return the similarity of the candidate to the reference: 1 if they are the same, less otherwise."""
        return self.cosine_mean

    @staticmethod
    def threshold(gate: Gate) -> float:
        """Return the lowest similarity that passes the gate."""
        return gate.min_cosine_mean


@dataclass(frozen=True, slots=True, kw_only=True)
class PairFigures(VectorFigures):
    """Besides the cosines to the reference's vectors: how well each of the two ranks pairs of texts as people do.

    The metric is Spearman's rank correlation of the cosine of a row's two vectors with its score, as for the STS
    benchmark (arXiv:1708.00055, arXiv:1908.10084). `metric_original_low` to `metric_original_high`,
    `metric_built_low` to `metric_built_high` and `difference_low` to `difference_high`, which is of built minus
    original on the same rows, are 95 % confidence intervals over resampled rows (bootstrap).
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
        return problems + VectorFigures.problems(self, gate)


def compare_embeddings(
    candidate: AllOutputs, reference: AllOutputs, rows: Sequence[Row]
) -> VectorFigures:
    """Return the figures of texts, and of pairs of them if the rows have scores."""
    figures = vector_figures(candidate, reference)
    if rows[0].answer is None:
        return figures
    return _with_correlation(figures, candidate, reference, rows)


def uninformative_vectors(reference: AllOutputs, rows: Sequence[Row]) -> list[str]:
    """Return why the reference's vectors tell nothing: all are the same, or rank pairs as chance does."""
    vectors = _embeddings(reference)
    if len(vectors) > 1 and (cosines(vectors, vectors[:1]) >= SAME_COSINE).all():
        return [f"the reference gives all {len(vectors)} texts the same vector"]
    pairs = [
        (row.answer, outputs)
        for row, outputs in zip(rows, reference, strict=True)
        if row.answer is not None and all("embedding" in output for output in outputs)
    ]
    if len(pairs) < MIN_ROWS:
        return []
    scores, outputs = zip(*pairs, strict=True)
    # Scores may be distances, which fall where texts are alike.
    size = abs(correlation(np.array(scores), pair_cosines(outputs)))
    name = f"{SPEARMAN} with the scores of {len(pairs)} pairs, without its sign,"
    return no_better(name, size, chance(len(pairs)), CHANCE)


def vector_figures(candidate: AllOutputs, reference: AllOutputs) -> VectorFigures:
    """Return the figures of all vectors of all rows; an unknown word has none."""
    one, other = _embeddings(candidate), _embeddings(reference)
    # Two vectors of zeros have no direction to differ in.
    same = ~one.any(axis=1) & ~other.any(axis=1)
    cosine = np.where(same, 1.0, cosines(one, other))
    counts = np.array([sum("embedding" in output for output in row) for row in reference])
    row_of = np.repeat(np.arange(len(counts)), counts)
    sums = np.stack([np.bincount(row_of, cosine, len(counts)), counts], axis=1)[counts > 0]
    resampled = bootstrap_counts(len(sums)) @ sums
    low, high = np.percentile(resampled[:, 0] / resampled[:, 1], [2.5, 97.5])
    return VectorFigures(
        cosine_mean=float(cosine.mean()),
        cosine_low=float(low),
        cosine_high=float(high),
        cosine_p5=float(np.percentile(cosine, 5)),
        cosine_min=float(cosine.min()),
    )


def cosines(one: Floats, other: Floats) -> Floats:
    """Return the cosines of vectors side by side: [n, dimensions] twice -> [n]."""
    norms = np.linalg.norm(one, axis=1) * np.linalg.norm(other, axis=1)
    # The cosine of a vector of zeros is 0 instead of NaN.
    values: Floats = (one * other).sum(axis=1) / np.maximum(norms, 1e-12)
    return values


def pair_cosines(answers: AllOutputs) -> Floats:
    """Return the cosine of the two vectors of each row: [rows]."""
    one, other = (np.array([outputs[i]["embedding"] for outputs in answers]) for i in (0, 1))
    return cosines(one, other)


def _embeddings(answers: AllOutputs) -> Floats:
    return np.array([o["embedding"] for row in answers for o in row if "embedding" in o])


def _with_correlation(
    figures: VectorFigures, candidate: AllOutputs, reference: AllOutputs, rows: Sequence[Row]
) -> PairFigures:
    scores = np.array([row.answer for row in rows])
    found = correlation_figures(scores, pair_cosines(reference), pair_cosines(candidate))
    return PairFigures(**asdict(figures), **found)
