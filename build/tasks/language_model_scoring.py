"""Language model scoring: the log-probability of each token of a text, and its perplexity."""

from typing import Any

from build.evaluation.gate import NumberComparison
from build.evaluation.perplexity import compare_scores
from build.evaluation.rows import Labels, Row, RowFormat, request_of, text_field
from build.tasks.description import TaskDescription
from contracts.tasks import Task


def parse_row(row: dict[str, Any], labels: Labels) -> Row:
    """Return a text; there is no right answer to it."""
    return Row(request=request_of(text_field(row), per_token=True))


DESCRIPTION = TaskDescription(
    name=Task.LANGUAGE_MODEL_SCORING,
    rows=RowFormat(parse=parse_row, example='{"text": "..."}'),
    comparison=NumberComparison(measure=compare_scores),
)
