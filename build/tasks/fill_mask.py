"""Mask filling: the likeliest tokens in the places of a text that hold the mask token."""

from typing import Any

from build.evaluation.agreement import AnswerComparison
from build.evaluation.metrics import Metric, Outputs, equal, mean
from build.evaluation.rows import Labels, Row, RowFormat, request_of, text_field
from build.tasks.description import TaskDescription
from contracts.tasks import Task


def parse_row(row: dict[str, Any], labels: Labels) -> Row:
    """Return a text with a mask; `label` is the token that belongs there."""
    answer = text_field(row, "label") if "label" in row else None
    return Row(request=request_of(text_field(row)), answer=answer)


def first_token(outputs: Outputs) -> str | None:
    """Return the likeliest token in the first mask of a text, None if the text has no mask."""
    masks = outputs[0]["masks"]
    return masks[0]["token"] if masks else None


TOKEN_ACCURACY = Metric(name="accuracy", answer=first_token, counts=equal, value=mean)

DESCRIPTION = TaskDescription(
    name=Task.FILL_MASK,
    rows=RowFormat(parse=parse_row, example='{"text": "... [MASK] ...", "label": "..."}'),
    comparison=AnswerComparison(metric=TOKEN_ACCURACY),
)
