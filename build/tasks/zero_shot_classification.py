"""Zero-shot classification: the best of the labels in the request, by natural language inference."""

from typing import Any

from build.evaluation.agreement import AnswerComparison
from build.evaluation.metrics import ACCURACY
from build.evaluation.rows import (
    Labels,
    Row,
    RowFormat,
    known_label,
    request_of,
    text_field,
    texts_field,
)
from build.tasks.description import TaskDescription
from contracts.tasks import Task


def parse_row(row: dict[str, Any], labels: Labels) -> Row:
    """Return a text with the labels to choose from; the model's own labels are those of inference."""
    names = texts_field(row, "candidate_labels")
    template = {key: row[key] for key in ("hypothesis_template",) if key in row}
    answer = known_label(row["label"], names) if "label" in row else None
    request = request_of(text_field(row), candidate_labels=names, **template)
    return Row(request=request, answer=answer)


DESCRIPTION = TaskDescription(
    name=Task.ZERO_SHOT_CLASSIFICATION,
    rows=RowFormat(
        parse=parse_row,
        example='{"text": "...", "candidate_labels": ["...", "..."], "label": "..."}',
    ),
    comparison=AnswerComparison(metric=ACCURACY),
)
