"""Text classification: a label for a text or a pair of texts, any number of them, or numbers of a regression model."""

from collections.abc import Mapping, Sequence
from typing import Any

from build.evaluation.agreement import AnswerComparison
from build.evaluation.comparison import NumberComparison
from build.evaluation.informative import best_set
from build.evaluation.jsonlines import RowProblem
from build.evaluation.metrics import ACCURACY, Metric, Outputs, f1, overlap
from build.evaluation.regression import compare_numbers, same_numbers, uninformative_numbers
from build.evaluation.rows import (
    Labels,
    Row,
    RowFormat,
    is_number,
    known_label,
    request_of,
    text_field,
)
from build.tasks.description import (
    AnswerLabels,
    Details,
    FamilyName,
    GraphOutputs,
    ModelFacts,
    TaskDescription,
    TransformersModel,
)
from contracts.problems import Code, Problem
from contracts.tasks import Task

# The right answers of a row by what a model's details say of it: the class, and the form in messages.
ANSWERS: Mapping[str, tuple[type, str]] = {
    "regression": (dict, 'numbers: "score", or "scores" with the name of each of several'),
    "multi_label": (frozenset, 'any number of labels: "labels", a list'),
}
ONE_LABEL: tuple[type, str] = (str, 'one label: "label", a text')


def parse_row(row: dict[str, Any], labels: Labels) -> Row:
    """Return a text, or a pair if there is a `text_pair`, with its right answer if it has one.

    It is `label`; `labels` of a multi-label model; of a regression model `score`, or `scores` by their names.
    """
    value: Any = text_field(row)
    if "text_pair" in row:
        value = {"text": value, "text_pair": text_field(row, "text_pair")}
    return Row(request=request_of(value), answer=_answer(row, labels))


def _answer(row: dict[str, Any], labels: Labels) -> Any:
    if "labels" in row:
        if not isinstance(row["labels"], list):
            raise RowProblem('"labels" is not a list')
        return frozenset(known_label(label, labels) for label in row["labels"])
    if "scores" in row or "score" in row:
        return _numbers(row, labels)
    return known_label(row["label"], labels) if "label" in row else None


def _numbers(row: dict[str, Any], labels: Labels) -> dict[str, float]:
    """Return the number of each of the model's outputs; of unknown ones as they are named."""
    numbers = row.get("scores")
    if "scores" not in row:
        if labels is not None and len(labels) != 1:
            raise RowProblem(f'"score" is one number; give "scores" of {", ".join(labels)}')
        numbers = {labels[0] if labels else "": row["score"]}
    if not isinstance(numbers, dict) or not all(map(is_number, numbers.values())):
        raise RowProblem('"score" has to be a number, and "scores" an object of them')
    if labels is not None and set(numbers) != set(labels):
        message = f'"scores" has {", ".join(numbers)}; the model\'s outputs are {", ".join(labels)}'
        raise RowProblem(message, Code.LABELS_MISMATCH)
    return {name: float(number) for name, number in numbers.items()}


def labels_of(outputs: Outputs) -> frozenset[str]:
    """Return the labels that a multi-label model gives a text."""
    return frozenset(entry["label"] for entry in outputs[0]["labels"])


MICRO_F1 = Metric(
    name="micro F1",
    answer=labels_of,
    counts=overlap,
    value=f1,
    trivial=lambda right, inputs: best_set(right),
    trivial_answer="the best set of labels for all rows",
)


def details(facts: ModelFacts) -> dict[str, Any]:
    """Return what the outputs of a model are, by the rules of transformers' pipeline: numbers, or labels of any number.

    A single label that is no regression is given or not, by its sigmoid.
    """
    kind = facts.config.get("problem_type")
    if kind == "regression":
        return {"regression": True}
    multi_label = kind == "multi_label_classification" or len(facts.labels) == 1
    return {"multi_label": True} if multi_label else {}


def problems(facts: ModelFacts) -> list[Problem]:
    """Return a problem for a single label that is to be the only one of several, which transformers refuses to load."""
    single = facts.config.get("problem_type") == "single_label_classification"
    if not single or len(facts.labels) > 1:
        return []
    message = (
        "config.json has one label and `problem_type` single_label_classification, which needs several; write "
        "regression for a model that answers with a number"
    )
    return [Problem(code=Code.LABELS_MISMATCH, message=message)]


def unfit(rows: Sequence[Row], details: Details) -> list[Problem]:
    """Return a problem if the rows have right answers of another kind than the model's."""
    if rows[0].answer is None:
        return []
    kind, form = next((ANSWERS[key] for key in ANSWERS if key in details), ONE_LABEL)
    if isinstance(rows[0].answer, kind):
        return []
    message = f"the model answers with {form}; give it to every row, or leave the right answers out"
    return [Problem(code=Code.ROWS_INVALID, message=message)]


DESCRIPTION = TaskDescription(
    name=Task.TEXT_CLASSIFICATION,
    family=FamilyName.ENCODER,
    rows=RowFormat(parse=parse_row, example='{"text": "...", "label": "..."}', unfit=unfit),
    comparison=AnswerComparison(metric=ACCURACY, multi_label_metric=MICRO_F1),
    regression=NumberComparison(
        measure=compare_numbers,
        uninformative_outputs=uninformative_numbers,
        same_elsewhere=same_numbers,
    ),
    answer_labels=AnswerLabels(
        known=lambda labels, rows: labels,
        of=lambda answer: [answer] if isinstance(answer, str) else answer,
    ),
    transformers=TransformersModel(
        architectures=("ForSequenceClassification",),
        export_task="text-classification",
        problems=problems,
        details=details,
    ),
    graph=GraphOutputs(
        bare=True, removable_activations=("softmax", "sigmoid"), multi_label=True, binary=True
    ),
    min_labels=1,
    one_text=True,
)
