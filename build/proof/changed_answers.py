"""The answers that differ between the reference and the artefact: by class, and row by row."""

from collections.abc import Sequence
from typing import Any

from build.evaluation.agreement import AnswerComparison
from build.evaluation.metrics import ACCURACY, Metric, Outputs
from build.step import Step

# More rows than this nobody reads on a page; the figures count all of them.
MAX_CHANGED_ROWS = 50


def per_class(
    step: Step, reference: Sequence[Outputs], built: Sequence[Outputs]
) -> list[dict[str, Any]]:
    """Return each label's rows and the shares that the reference and the artefact answer correctly.

    Empty for all but classifiers with labelled rows.
    """
    if _metric_of(step, reference) is not ACCURACY or step.rows[0].answer is None:
        return []
    labels = [row.answer for row in step.rows]
    table = []
    for label in dict.fromkeys(labels):
        rows = [i for i, answer in enumerate(labels) if answer == label]
        table.append(
            {
                "label": label,
                "rows": len(rows),
                "original": sum(reference[i][0]["label"] == label for i in rows) / len(rows),
                "built": sum(built[i][0]["label"] == label for i in rows) / len(rows),
            }
        )
    return table


def labels_in_rows(step: Step, reference: Sequence[Outputs]) -> dict[str, Any]:
    """Return the number of labels that rows may have, and those that none has as its right answer.

    Without right answers, those of the reference count. Empty for a task without labels.
    """
    metric, labels = _metric_of(step, reference), step.task.answer_labels
    if metric is None or labels is None:
        return {"labels": 0, "labels_unseen": []}
    known = list(labels.known(step.source.labels, step.rows))
    answers = (
        metric.answer(outputs) if row.answer is None else row.answer
        for row, outputs in zip(step.rows, reference, strict=True)
    )
    seen = {label for answer in answers for label in labels.of(answer)}
    return {"labels": len(known), "labels_unseen": [name for name in known if name not in seen]}


def changed_rows(
    step: Step, reference: Sequence[Outputs], built: Sequence[Outputs]
) -> list[dict[str, Any]]:
    """Return the rows that the artefact answers differently from the reference, as many as a person reads."""
    metric = _metric_of(step, reference)
    if metric is None:
        return []
    changed = []
    for row, expected, outputs in zip(step.rows, reference, built, strict=True):
        before, after = metric.answer(expected), metric.answer(outputs)
        if before != after:
            changed.append(
                {
                    "request": row.request.to_wire(),
                    "right": _as_json(row.answer),
                    "original": _as_json(before),
                    "built": _as_json(after),
                    "scores": [expected[0].get("score"), outputs[0].get("score")],
                }
            )
    return changed[:MAX_CHANGED_ROWS]


def _metric_of(step: Step, reference: Sequence[Outputs]) -> Metric | None:
    """Return the metric of the task's answers; None if these are numbers, which are near or far."""
    comparison = step.comparison
    return comparison.metric_of(reference[0]) if isinstance(comparison, AnswerComparison) else None


def _as_json(answer: Any) -> Any:
    """Return an answer as JSON can hold it."""
    return sorted(answer) if isinstance(answer, frozenset) else answer
