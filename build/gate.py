"""How near a candidate comes to the original, and whether that is near enough."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from build import perplexity
from build.metrics import METRICS, MULTI_LABEL, WRITES, Floats, Metric, Outputs
from build.perplexity import ScoreFigures, WriterFigures
from build.resampling import drawn, wilson
from build.rows import Row
from contracts.specs import Gate
from contracts.tasks import Task


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerFigures:
    """A candidate against its original by the task's metric, on rows with right answers.

    `reference` says whose those are: the rows' labels, or the original's own answers. `difference_low` to
    `difference_high` is the 95 % interval of built minus original over resampled rows (paired bootstrap), `agreement`
    the share of rows answered alike, with its 95 % interval by Wilson.
    """

    metric: str
    reference: str
    metric_original: float
    metric_built: float
    difference_low: float
    difference_high: float
    agreement: float
    agreement_low: float
    agreement_high: float

    def failures(self, gate: Gate) -> list[str]:
        least = self.metric_original * gate.min_accuracy_ratio
        failures = []
        if self.metric_built < least:
            failures.append(
                f"{self.metric} {self.metric_built:.4f} is below {least:.4f} "
                f"(min_accuracy_ratio {gate.min_accuracy_ratio:g} of the original's {self.metric_original:.4f})"
            )
        if self.agreement < gate.min_agreement:
            failures.append(
                f"same answer on {self.agreement:.4f}, below min_agreement {gate.min_agreement:g}"
            )
        return failures

    @property
    def what(self) -> str:
        return "same answer as here"

    @property
    def nearness(self) -> float:
        """How near it comes to the original: 1 is the same."""
        return self.agreement

    @staticmethod
    def least(gate: Gate) -> float:
        """The nearness that the gate asks for."""
        return gate.min_agreement


@dataclass(frozen=True, slots=True, kw_only=True)
class VectorFigures:
    """An encoder against its original: cosine similarity of their vectors, text by text."""

    cosine_mean: float
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


Figures = AnswerFigures | VectorFigures | ScoreFigures | WriterFigures
Answered = Sequence[Outputs]


def measure(task: Task, built: Answered, original: Answered, rows: Sequence[Row]) -> Figures:
    """Outputs of the candidate and of the original, row by row -> figures."""
    if task is Task.FEATURE_EXTRACTION:
        return _vectors(built, original)
    if task is Task.WORD_VECTORS:
        from build.wordfigures import measure as measure_words  # which rests on this module

        return measure_words(_vectors(built, original), built, original, rows)
    if task is Task.LANGUAGE_MODEL_SCORING:
        return perplexity.scored(built, original)
    if task in WRITES:
        return perplexity.written(built, original, labelled=rows[0].answer is not None)
    return _answers(metric_of(task, original), built, original, rows)


def metric_of(task: Task, original: Answered) -> Metric:
    """The task's metric; a classifier whose outputs have `labels` gives any number of them."""
    if task is Task.TEXT_CLASSIFICATION and "labels" in original[0][0]:
        return MULTI_LABEL
    return METRICS[task]


def _answers(
    metric: Metric, built: Answered, original: Answered, rows: Sequence[Row]
) -> AnswerFigures:
    theirs, ours = [metric.answer(o) for o in original], [metric.answer(o) for o in built]
    labelled = rows[0].answer is not None
    right = [row.answer for row in rows] if labelled else [metric.right(a) for a in theirs]
    before, after = _counts(metric, theirs, right), _counts(metric, ours, right)
    low, high = _bootstrap(metric, before, after)
    agreed = sum(a == b for a, b in zip(ours, theirs, strict=True))
    agreement_low, agreement_high = wilson(agreed, len(rows))
    return AnswerFigures(
        metric=metric.name,
        reference="labels" if labelled else "original",
        metric_original=float(metric.value(before.sum(axis=0))),
        metric_built=float(metric.value(after.sum(axis=0))),
        difference_low=low,
        difference_high=high,
        agreement=agreed / len(rows),
        agreement_low=agreement_low,
        agreement_high=agreement_high,
    )


def _counts(metric: Metric, answers: Sequence[Any], right: Sequence[Any]) -> Floats:
    return np.array([metric.counts(a, r) for a, r in zip(answers, right, strict=True)], np.float64)


def _bootstrap(metric: Metric, before: Floats, after: Floats) -> tuple[float, float]:
    """95 % of the differences of the metric on rows drawn with replacement, the same for both."""
    resampled = drawn(len(before))
    differences = metric.value(resampled @ after) - metric.value(resampled @ before)
    low, high = np.percentile(differences, [2.5, 97.5])
    return float(low), float(high)


def _vectors(built: Answered, original: Answered) -> VectorFigures:
    ours, theirs = _embeddings(built), _embeddings(original)
    norms = np.linalg.norm(ours, axis=1) * np.linalg.norm(theirs, axis=1)
    cosine = (ours * theirs).sum(axis=1) / np.maximum(norms, 1e-12)
    return VectorFigures(
        cosine_mean=float(cosine.mean()),
        cosine_p5=float(np.percentile(cosine, 5)),
        cosine_min=float(cosine.min()),
    )


def _embeddings(answered: Answered) -> Floats:
    """All vectors of all rows; a word that is not known has none."""
    return np.array([o["embedding"] for row in answered for o in row if "embedding" in o])


def figures_of(figures: Figures) -> dict[str, Any]:
    return {
        key: round(value, 6) if isinstance(value, float) else value
        for key, value in asdict(figures).items()
    }
