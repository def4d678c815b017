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
from build.tasks.description import FamilyName, ModelFacts, TaskDescription, TransformersModel
from contracts.problems import Code, Problem
from contracts.tasks import Task


def parse_row(row: dict[str, Any], labels: Labels) -> Row:
    """Return a text with the labels to choose from; the model's own labels are those of inference."""
    names = texts_field(row, "candidate_labels")
    template = {key: row[key] for key in ("hypothesis_template",) if key in row}
    answer = known_label(row["label"], names) if "label" in row else None
    request = request_of(text_field(row), candidate_labels=names, **template)
    return Row(request=request, answer=answer)


def details(facts: ModelFacts) -> dict[str, Any]:
    """Return the places of the two labels that a score is made of; models abbreviate or capitalise their names."""
    return {
        key: i
        for key in ("entailment", "contradiction")
        for i, label in enumerate(facts.labels)
        if label.lower().startswith(key[:6])
    }


def problems(facts: ModelFacts) -> list[Problem]:
    """Return a problem if the labels are not those of natural language inference."""
    if len(details(facts)) == 2:
        return []
    message = f"zero-shot needs labels named entailment and contradiction; it has {', '.join(facts.labels)}"
    return [Problem(code=Code.LABELS_MISMATCH, message=message)]


DESCRIPTION = TaskDescription(
    name=Task.ZERO_SHOT_CLASSIFICATION,
    family=FamilyName.ENCODER,
    rows=RowFormat(
        parse=parse_row,
        example='{"text": "...", "candidate_labels": ["...", "..."], "label": "..."}',
    ),
    comparison=AnswerComparison(metric=ACCURACY),
    transformers=TransformersModel(
        architectures=("ForSequenceClassification",),
        auto_class="AutoModelForSequenceClassification",
        export_task="text-classification",
        problems=problems,
        details=details,
    ),
    min_labels=2,
)
