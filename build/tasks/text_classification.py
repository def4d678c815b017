"""Text classification: one label for a text or a pair of texts, or any number of them for a multi-label model."""

from typing import Any

from build.evaluation.agreement import AnswerComparison
from build.evaluation.jsonlines import RowProblem
from build.evaluation.metrics import ACCURACY, Metric, Outputs, f1, overlap
from build.evaluation.rows import Labels, Row, RowFormat, known_label, request_of, text_field
from build.tasks.description import (
    FamilyName,
    GraphOutputs,
    ModelFacts,
    TaskDescription,
    TransformersModel,
)
from contracts.tasks import Task


def parse_row(row: dict[str, Any], labels: Labels) -> Row:
    """Return a text with `label`, or with `labels` of a multi-label model; a pair if there is a `text_pair`."""
    value: Any = text_field(row)
    if "text_pair" in row:
        value = {"text": value, "text_pair": text_field(row, "text_pair")}
    if "labels" in row:
        if not isinstance(row["labels"], list):
            raise RowProblem('"labels" is not a list')
        answer: Any = frozenset(known_label(label, labels) for label in row["labels"])
    else:
        answer = known_label(row["label"], labels) if "label" in row else None
    return Row(request=request_of(value), answer=answer)


def labels_of(outputs: Outputs) -> frozenset[str]:
    """Return the labels that a multi-label model gives a text."""
    return frozenset(entry["label"] for entry in outputs[0]["labels"])


MICRO_F1 = Metric(name="micro F1", answer=labels_of, counts=overlap, value=f1)


def details(facts: ModelFacts) -> dict[str, Any]:
    """Return whether the labels of a model do not exclude each other, as transformers marks it."""
    multi_label = facts.config.get("problem_type") == "multi_label_classification"
    return {"multi_label": True} if multi_label else {}


DESCRIPTION = TaskDescription(
    name=Task.TEXT_CLASSIFICATION,
    family=FamilyName.ENCODER,
    rows=RowFormat(parse=parse_row, example='{"text": "...", "label": "..."}'),
    comparison=AnswerComparison(metric=ACCURACY, multi_label_metric=MICRO_F1),
    transformers=TransformersModel(
        architectures=("ForSequenceClassification",),
        auto_class="AutoModelForSequenceClassification",
        export_task="text-classification",
        details=details,
    ),
    graph=GraphOutputs(
        bare=True, removable_activations=("softmax", "sigmoid"), multi_label=True, binary=True
    ),
    # With a single label, transformers takes a model for a regression.
    min_labels=2,
    one_text=True,
)
