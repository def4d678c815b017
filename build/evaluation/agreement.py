"""Comparison of answers that are the same or not: the task's metric, and the agreement with the reference."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from build.evaluation.bootstrap import bootstrap_counts, wilson
from build.evaluation.gate import below_threshold
from build.evaluation.informative import MIN_ROWS, no_better
from build.evaluation.metrics import AllOutputs, Floats, Metric, Outputs
from build.evaluation.regression import NumberFigures, near
from build.evaluation.rows import Row
from contracts.specs import Gate

# Scores of one label within a smaller range tell no rows apart.
MIN_SPREAD = 0.01


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerFigures:
    """A candidate against its reference by the task's metric, on rows with right answers.

    `reference` is where these come from: the rows' labels, or the reference's own answers. `difference_low` to
    `difference_high` is the 95 % confidence interval of built minus original over resampled rows (paired bootstrap),
    `agreement` the share of rows with the same answer, with its 95 % confidence interval by Wilson.
    """

    # The name of `similarity` where the reference is this machine.
    similarity_name: ClassVar[str] = "same answer as here"

    metric: str
    reference: str
    metric_original: float
    metric_built: float
    difference_low: float
    difference_high: float
    agreement: float
    agreement_low: float
    agreement_high: float

    def problems(self, gate: Gate) -> list[str]:
        """Return each figure that is below its threshold."""
        problems = below_threshold(self.metric, self.metric_built, self.metric_original, gate)
        if self.agreement < gate.min_agreement:
            problems.append(
                f"same answer on {self.agreement:.4f}, below min_agreement {gate.min_agreement:g}"
            )
        return problems

    @property
    def similarity(self) -> float:
        """Return the similarity of the candidate to the reference: 1 if they are the same, less otherwise."""
        return self.agreement

    @staticmethod
    def threshold(gate: Gate) -> float:
        """Return the lowest similarity that passes the gate."""
        return gate.min_agreement


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerComparison:
    """The comparison of a task by its metric; by another one if a model's outputs have `labels`, any number of them."""

    metric: Metric
    multi_label_metric: Metric | None = None

    def metric_of(self, outputs: Outputs) -> Metric:
        """Return the metric for a model with such outputs."""
        if self.multi_label_metric and "labels" in outputs[0]:
            return self.multi_label_metric
        return self.metric

    def uninformative(self, reference: AllOutputs, rows: Sequence[Row]) -> list[str]:
        """Return why the reference's answers on the rows tell nothing; empty if they do, or if the rows are few."""
        if len(rows) < MIN_ROWS:
            return []
        metric = self.metric_of(reference[0])
        answers = [metric.answer(outputs) for outputs in reference]
        untold = metric.untold(answers)
        found = [f"the reference gives all {len(rows)} rows {untold}"] if untold else []
        if rows[0].answer is None:
            return found
        right = [row.answer for row in rows]
        value = float(metric.value(_counts(metric, answers, right).sum(axis=0)))
        if value == 0:
            return [*found, f"the reference's {metric.name} on {len(rows)} rows is 0"]
        trivial = metric.trivial(right, [len(row.request.inputs) for row in rows])
        if trivial is None:
            return found
        return [*found, *no_better(metric.name, value, trivial, metric.trivial_answer)]

    def measure(
        self, candidate: AllOutputs, reference: AllOutputs, rows: Sequence[Row]
    ) -> AnswerFigures | NumberFigures:
        """Return the figures of a candidate's outputs against those of the reference, row by row.

        Where the reference gives one answer to all rows, another model does so as well, and its scores are compared.
        """
        metric = self.metric_of(reference[0])
        ours, theirs = ([metric.answer(o) for o in every] for every in (candidate, reference))
        if len(rows) >= MIN_ROWS and metric.untold(theirs) and told_by_scores(reference, rows):
            return _scores_of_one_answer(candidate, reference, ours, theirs)
        # One row stands for all: `build.evaluation.rows` refuses a file of which only some have an answer.
        labelled = rows[0].answer is not None
        right = [row.answer for row in rows] if labelled else [metric.as_label(a) for a in theirs]
        before, after = _counts(metric, theirs, right), _counts(metric, ours, right)
        low, high = _difference_interval(metric, before, after)
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


def _scores_of_one_answer(
    candidate: AllOutputs, reference: AllOutputs, ours: Sequence[Any], theirs: Sequence[Any]
) -> NumberFigures:
    """Return how near the scores of the reference's only answer are; another answer counts as a score of 0."""
    found, right = (
        [[o[0]["score"] if a == theirs[0] else 0.0] for o, a in zip(outputs, answers, strict=True)]
        for outputs, answers in ((candidate, ours), (reference, theirs))
    )
    return near(np.array(found, np.float64), np.array(right, np.float64))


def told_by_scores(reference: AllOutputs, rows: Sequence[Row]) -> bool:
    """Return whether rows without right answers get one answer with scores that differ, so that they do tell something.

    Nothing says then that another answer would be right, and a build goes on with a note.
    """
    scores = [outputs[0].get("score") for outputs in reference]
    if rows[0].answer is not None or not all(isinstance(score, float) for score in scores):
        return False
    return bool(np.ptp(np.array(scores, np.float64)) >= MIN_SPREAD)


def _counts(metric: Metric, answers: Sequence[Any], right: Sequence[Any]) -> Floats:
    return np.array([metric.counts(a, r) for a, r in zip(answers, right, strict=True)], np.float64)


def _difference_interval(metric: Metric, before: Floats, after: Floats) -> tuple[float, float]:
    """Return the 95 % interval of the metric's difference over resampled rows, the same ones for both."""
    resampled = bootstrap_counts(len(before))
    differences = metric.value(resampled @ after) - metric.value(resampled @ before)
    low, high = np.percentile(differences, [2.5, 97.5])
    return float(low), float(high)
