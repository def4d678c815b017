"""What of the answers changed between the original and what was built: by class, and row by row."""

from collections.abc import Sequence
from typing import Any

from build.evaluation.gate import metric_of
from build.evaluation.metrics import ACCURACY, WRITES, Outputs
from build.step import Step
from contracts.tasks import Task

FLIPS = 50
# Tasks whose answers are told apart by numbers, which are near or far and never other ones.
NUMBERS = (Task.FEATURE_EXTRACTION, Task.WORD_VECTORS, Task.LANGUAGE_MODEL_SCORING, *WRITES)


def per_class(
    step: Step, original: Sequence[Outputs], built: Sequence[Outputs]
) -> list[dict[str, Any]]:
    """For a classifier with labelled rows: how many rows each label has, and the share each of both gets right."""
    if step.task not in (Task.TEXT_CLASSIFICATION, Task.ZERO_SHOT_CLASSIFICATION):
        return []
    if metric_of(step.task, original) is not ACCURACY or step.rows[0].answer is None:
        return []
    right = [row.answer for row in step.rows]
    table = []
    for label in dict.fromkeys(right):
        rows = [i for i, answer in enumerate(right) if answer == label]
        table.append(
            {
                "label": label,
                "rows": len(rows),
                "original": sum(original[i][0]["label"] == label for i in rows) / len(rows),
                "built": sum(built[i][0]["label"] == label for i in rows) / len(rows),
            }
        )
    return table


def flips(
    step: Step, original: Sequence[Outputs], built: Sequence[Outputs]
) -> list[dict[str, Any]]:
    """The rows that are answered otherwise than by the original, as many as a person reads."""
    if step.task in NUMBERS:
        return []
    metric = metric_of(step.task, original)
    found = []
    for row, theirs, ours in zip(step.rows, original, built, strict=True):
        before, after = metric.answer(theirs), metric.answer(ours)
        if before != after:
            found.append(
                {
                    "request": row.request.to_wire(),
                    "right": _plain(row.answer),
                    "original": _plain(before),
                    "built": _plain(after),
                    "scores": [theirs[0].get("score"), ours[0].get("score")],
                }
            )
    return found[:FLIPS]


def _plain(answer: Any) -> Any:
    """An answer as JSON holds it."""
    return sorted(answer) if isinstance(answer, frozenset) else answer
