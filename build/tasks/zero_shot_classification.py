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
from build.tasks.description import (
    AnswerLabels,
    FamilyName,
    ModelFacts,
    TaskDescription,
    TransformersModel,
)
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
    """Return the places of the two outputs that a score is made of, as transformers' pipeline finds them.

    Entailment is the first label that begins with "entail", in any case. Contradiction is the first output, or the last
    where entailment is the first, so that models of two labels have the other one. Empty without entailment.
    """
    named = facts.config.get("label2id")
    # Names that the user gives are not in config.json.
    if not isinstance(named, dict) or set(named) != set(facts.labels):
        named = {label: i for i, label in enumerate(facts.labels)}
    last = len(facts.labels) - 1
    for label, place in named.items():
        if label.lower().startswith("entail") and place in range(last + 1):
            return {"entailment": int(place), "contradiction": 0 if place else last}
    return {}


def problems(facts: ModelFacts) -> list[Problem]:
    """Return a problem if no label is the one of natural language inference that a score is made of."""
    if details(facts):
        return []
    message = (
        f"zero-shot needs a label that begins with entailment; it has {', '.join(facts.labels)}; name the outputs of a "
        "model of natural language inference as `labels`, or correct `task`"
    )
    return [Problem(code=Code.LABELS_MISMATCH, message=message)]


DESCRIPTION = TaskDescription(
    name=Task.ZERO_SHOT_CLASSIFICATION,
    family=FamilyName.ENCODER,
    rows=RowFormat(
        parse=parse_row,
        example='{"text": "...", "candidate_labels": ["...", "..."], "label": "..."}',
    ),
    comparison=AnswerComparison(metric=ACCURACY),
    # The model's own labels are those of inference.
    answer_labels=AnswerLabels(
        known=lambda labels, rows: dict.fromkeys(
            name for row in rows for name in row.request.parameters["candidate_labels"]
        ),
        of=lambda answer: [answer],
    ),
    transformers=TransformersModel(
        architectures=("ForSequenceClassification",),
        export_task="text-classification",
        problems=problems,
        details=details,
    ),
    min_labels=2,
)
