"""How near a candidate comes to the original, and whether that is near enough."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from build.evaluation import embedding_similarity, perplexity, word_similarity
from build.evaluation.bootstrap import bootstrap_counts, wilson
from build.evaluation.embedding_similarity import VectorFigures
from build.evaluation.metrics import (
    METRICS,
    MULTI_LABEL,
    WRITES,
    Floats,
    Metric,
    Outputs,
    below_threshold,
)
from build.evaluation.perplexity import ScoreFigures, WriterFigures
from build.evaluation.rows import Row
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
        failures = below_threshold(self.metric, self.metric_built, self.metric_original, gate)
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


Figures = AnswerFigures | VectorFigures | ScoreFigures | WriterFigures
Answered = Sequence[Outputs]


def measure(task: Task, built: Answered, original: Answered, rows: Sequence[Row]) -> Figures:
    """Outputs of the candidate and of the original, row by row -> figures."""
    if task is Task.FEATURE_EXTRACTION:
        return embedding_similarity.compared(built, original, rows)
    if task is Task.WORD_VECTORS:
        return word_similarity.measure(built, original, rows)
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
    resampled = bootstrap_counts(len(before))
    differences = metric.value(resampled @ after) - metric.value(resampled @ before)
    low, high = np.percentile(differences, [2.5, 97.5])
    return float(low), float(high)


def figures_of(figures: Figures) -> dict[str, Any]:
    return {
        key: round(value, 6) if isinstance(value, float) else value
        for key, value in asdict(figures).items()
    }
