"""How near an encoder comes to its original: the cosine of their vectors, and people's judgement of pairs of texts."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np

from build.evaluation.bootstrap import bootstrap_counts
from build.evaluation.metrics import Floats, Outputs, below_threshold
from build.evaluation.rows import Row
from build.evaluation.spearman import correlations
from contracts.specs import Gate

Answered = Sequence[Outputs]


@dataclass(frozen=True, slots=True, kw_only=True)
class VectorFigures:
    """An encoder against its original: cosine similarity of their vectors, text by text.

    `cosine_low` to `cosine_high` is the 95 % interval of the mean over resampled rows (bootstrap).
    """

    cosine_mean: float
    cosine_low: float
    cosine_high: float
    cosine_p5: float
    cosine_min: float

    def failures(self, gate: Gate) -> list[str]:
        checks = (
            ("mean cosine", self.cosine_mean, "min_cosine_mean", gate.min_cosine_mean),
            ("5th percentile of the cosine", self.cosine_p5, "min_cosine_p5", gate.min_cosine_p5),
        )
        return [
            f"{what} {value:.4f} is below {key} {least:g}"
            for what, value, key, least in checks
            if value < least
        ]

    @property
    def what(self) -> str:
        return "mean cosine to the vectors here"

    @property
    def nearness(self) -> float:
        """How near it comes to the original: 1 is the same."""
        return self.cosine_mean

    @staticmethod
    def least(gate: Gate) -> float:
        """The nearness that the gate asks for."""
        return gate.min_cosine_mean


@dataclass(frozen=True, slots=True, kw_only=True)
class PairFigures(VectorFigures):
    """Besides the cosines to the original's vectors: how well each of both ranks pairs of texts as people do.

    The metric is Spearman's rank correlation of the cosine of a row's two vectors with its score, as for the STS
    benchmark (arXiv:1708.00055, arXiv:1908.10084). `metric_original_low` to `metric_original_high`,
    `metric_built_low` to `metric_built_high` and `difference_low` to `difference_high`, which is of built minus
    original on the same rows, are 95 % intervals over resampled rows (bootstrap).
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

    def failures(self, gate: Gate) -> list[str]:
        found = below_threshold(self.metric, self.metric_built, self.metric_original, gate)
        return found + VectorFigures.failures(self, gate)


def compared(built: Answered, original: Answered, rows: Sequence[Row]) -> VectorFigures:
    """Of texts, and of pairs of them where the rows have scores."""
    figures = vectors(built, original)
    return _judged(figures, built, original, rows) if rows[0].answer is not None else figures


def vectors(built: Answered, original: Answered) -> VectorFigures:
    """Of all vectors of all rows; a word that is not known has none."""
    one, other = _embeddings(built), _embeddings(original)
    # Two vectors of zeros have no direction to differ in.
    same = ~one.any(axis=1) & ~other.any(axis=1)
    cosine = np.where(same, 1.0, cosines(one, other))
    counts = np.array([sum("embedding" in output for output in row) for row in original])
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
    """Of vectors side by side: [n, dimensions] twice -> [n]."""
    norms = np.linalg.norm(one, axis=1) * np.linalg.norm(other, axis=1)
    found: Floats = (one * other).sum(axis=1) / np.maximum(norms, 1e-12)
    return found


def pair_cosines(answered: Answered) -> Floats:
    """The cosine of the two vectors of each row: [rows]."""
    one, other = (np.array([outputs[i]["embedding"] for outputs in answered]) for i in (0, 1))
    return cosines(one, other)


def _embeddings(answered: Answered) -> Floats:
    return np.array([o["embedding"] for row in answered for o in row if "embedding" in o])


def _judged(
    figures: VectorFigures, built: Answered, original: Answered, rows: Sequence[Row]
) -> PairFigures:
    scores = np.array([row.answer for row in rows])
    found = correlations(scores, pair_cosines(original), pair_cosines(built))
    return PairFigures(
        **asdict(figures),
        metric="Spearman correlation",
        reference="labels",
        metric_original=found.original,
        metric_original_low=found.original_low,
        metric_original_high=found.original_high,
        metric_built=found.built,
        metric_built_low=found.built_low,
        metric_built_high=found.built_high,
        difference_low=found.difference_low,
        difference_high=found.difference_high,
    )
