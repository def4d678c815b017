"""The answers that differ between the reference and the artefact: by class, and row by row."""

from collections.abc import Sequence
from typing import Any

from build.evaluation.gate import metric_of
from build.evaluation.metrics import ACCURACY, WRITES, Outputs
from build.step import Step
from contracts.tasks import Task

MAX_CHANGED_ROWS = 50
# Tasks that answer with numbers, which are more or less near and cannot be counted as changed.
NUMERIC_TASKS = (Task.FEATURE_EXTRACTION, Task.WORD_VECTORS, Task.LANGUAGE_MODEL_SCORING, *WRITES)


def per_class(
    step: Step, reference: Sequence[Outputs], built: Sequence[Outputs]
) -> list[dict[str, Any]]:
    """Return each label's rows and the shares that the reference and the artefact answer correctly.

    Empty for all but classifiers with labelled rows.
    """
    if step.task not in (Task.TEXT_CLASSIFICATION, Task.ZERO_SHOT_CLASSIFICATION):
        return []
    if metric_of(step.task, reference) is not ACCURACY or step.rows[0].answer is None:
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


def changed_rows(
    step: Step, reference: Sequence[Outputs], built: Sequence[Outputs]
) -> list[dict[str, Any]]:
    """Return the rows that the artefact answers differently from the reference, as many as a person reads."""
    if step.task in NUMERIC_TASKS:
        return []
    metric = metric_of(step.task, reference)
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


def _as_json(answer: Any) -> Any:
    """Return an answer as JSON can hold it."""
    return sorted(answer) if isinstance(answer, frozenset) else answer
