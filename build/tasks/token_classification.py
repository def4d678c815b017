"""Token classification: the entities of a text, such as names of people and places."""

from typing import Any

from build.evaluation.agreement import AnswerComparison
from build.evaluation.jsonlines import RowProblem
from build.evaluation.metrics import Metric, Outputs, f1, overlap
from build.evaluation.rows import (
    Labels,
    Row,
    RowFormat,
    known_label,
    request_of,
    text_field,
    texts_field,
)
from build.tasks.description import FamilyName, GraphOutputs, TaskDescription, TransformersModel
from contracts.tasks import Task

# Start and end of an entity in the text, in characters, and its label.
Entity = tuple[int, int, str]


def parse_row(row: dict[str, Any], labels: Labels) -> Row:
    """Return a text with its entities, given by their places in `text`, or as CoNLL does: `tokens` with a tag each."""
    if "tokens" in row:
        return _parse_conll(row, labels)
    text = text_field(row)
    if "entities" not in row:
        return Row(request=request_of(text))
    names = None if labels is None else sorted({_without_prefix(label) for label in labels})
    entities = row["entities"] if isinstance(row["entities"], list) else [None]
    answer = frozenset(_entity(entity, text, names) for entity in entities)
    return Row(request=request_of(text), answer=answer)


def _entity(entity: Any, text: str, names: Labels) -> Entity:
    match entity:
        case {"start": int(start), "end": int(end), "label": str(label)}:
            if not 0 <= start < end <= len(text):
                raise RowProblem(f"an entity is at {start} to {end}, outside of its text")
            return start, end, known_label(label, names)
        case _:
            raise RowProblem('an entity has to have "start", "end" and "label"')


def _without_prefix(tag: str) -> str:
    return tag.removeprefix("B-").removeprefix("I-")


def _parse_conll(row: dict[str, Any], labels: Labels) -> Row:
    """Return the tokens joined by spaces, and the entities that their tags make (IOB2)."""
    tokens = texts_field(row, "tokens")
    text = " ".join(tokens)
    if "tags" not in row:
        return Row(request=request_of(text))
    tags = texts_field(row, "tags")
    if len(tags) != len(tokens):
        raise RowProblem(f"{len(tokens)} tokens, but {len(tags)} tags")
    entities: list[Entity] = []
    start, before = 0, "O"
    for token, tag in zip(tokens, tags, strict=True):
        label, end = known_label(tag, labels)[2:], start + len(token)
        if tag.startswith("I-") and before[2:] == label:
            entities[-1] = (entities[-1][0], end, label)
        elif tag != "O":
            entities.append((start, end, label))
        # A space stands between two tokens.
        start, before = end + 1, tag
    return Row(request=request_of(text), answer=frozenset(entities))


def entities_of(outputs: Outputs) -> frozenset[Entity]:
    """Return the entities that a model finds in a text."""
    return frozenset((e["start"], e["end"], e["label"]) for e in outputs[0]["entities"])


ENTITY_F1 = Metric(name="entity F1", answer=entities_of, counts=overlap, value=f1)

DESCRIPTION = TaskDescription(
    name=Task.TOKEN_CLASSIFICATION,
    family=FamilyName.ENCODER,
    rows=RowFormat(
        parse=parse_row,
        example='{"text": "...", "entities": [{"start": 0, "end": 5, "label": "PER"}]}',
    ),
    comparison=AnswerComparison(metric=ENTITY_F1),
    transformers=TransformersModel(
        architectures=("ForTokenClassification",),
        auto_class="AutoModelForTokenClassification",
        export_task="token-classification",
    ),
    graph=GraphOutputs(rank=3, bare=True, removable_activations=("softmax",)),
    min_labels=2,
    one_text=True,
)
