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
from build.tasks.description import (
    AnswerLabels,
    FamilyName,
    GraphOutputs,
    ModelFacts,
    TaskDescription,
    TransformersModel,
)
from contracts.tasks import Task
from functions.inference.tasks.token_classification import OUTSIDE, joins, label_of

# Start and end of an entity in the text, in characters, and its label.
Entity = tuple[int, int, str]
# Prefixes of the schemes that mark the end of an entity, or one of a single word (BIOES, BILOU), with their hyphen.
ENDS = ("E-", "S-", "L-", "U-")
# Classes of tokenizers that have no token for unknown words unless their config names one.
WITHOUT_UNKNOWN = ("PreTrainedTokenizerFast", "TokenizersBackend")


class Joined(frozenset[Entity]):
    """The entities of a row, given by their places, for a model whose scheme has tags for their ends.

    transformers' pipeline, and so the served model, makes an entity of its own of an end: `Ada` and `Lovelace` of
    B-PER E-PER. They are compared with neighbours of one label joined.
    """


def parse_row(row: dict[str, Any], labels: Labels) -> Row:
    """Return a text with its entities, given by their places in `text`, or as CoNLL does: `tokens` with a tag each."""
    if "tokens" in row:
        return _parse_conll(row, labels)
    text = text_field(row)
    if "entities" not in row:
        return Row(request=request_of(text))
    names = None if labels is None else sorted({label_of(label) for label in labels} - {OUTSIDE})
    entities = row["entities"] if isinstance(row["entities"], list) else [None]
    found = [_entity(entity, text, names) for entity in entities]
    ended = any(label.startswith(ENDS) for label in labels or ())
    return Row(request=request_of(text), answer=(Joined if ended else frozenset)(found))


def _entity(entity: Any, text: str, names: Labels) -> Entity:
    match entity:
        case {"start": int(start), "end": int(end), "label": str(label)}:
            if not 0 <= start < end <= len(text):
                raise RowProblem(f"an entity is at {start} to {end}, outside of its text")
            return start, end, known_label(label, names)
        case _:
            raise RowProblem('an entity has to have "start", "end" and "label"')


def _parse_conll(row: dict[str, Any], labels: Labels) -> Row:
    """Return the tokens joined by spaces, and the entities that their tags make, by the model's own rule."""
    tokens = texts_field(row, "tokens")
    text = " ".join(tokens)
    if "tags" not in row:
        return Row(request=request_of(text))
    tags = texts_field(row, "tags")
    if len(tags) != len(tokens):
        raise RowProblem(f"{len(tokens)} tokens, but {len(tags)} tags")
    groups: list[Entity] = []
    start, before = 0, ""
    for token, tag in zip(tokens, tags, strict=True):
        end = start + len(token)
        if joins(known_label(tag, labels), before) and groups:
            groups[-1] = (groups[-1][0], end, groups[-1][2])
        else:
            groups.append((start, end, label_of(tag)))
        # A space stands between two tokens.
        start, before = end + 1, tag
    entities = frozenset(group for group in groups if group[2] != OUTSIDE)
    return Row(request=request_of(text), answer=entities)


def entities_of(outputs: Outputs) -> frozenset[Entity]:
    """Return the entities that a model finds in a text."""
    return frozenset((e["start"], e["end"], e["label"]) for e in outputs[0]["entities"])


def entities_in_common(answer: frozenset[Entity], right: frozenset[Entity]) -> tuple[float, ...]:
    """Return the counts of the entities that a model finds, for `f1`."""
    if isinstance(right, Joined):
        return overlap(_joined(answer), _joined(right))
    return overlap(answer, right)


def _joined(entities: frozenset[Entity]) -> frozenset[Entity]:
    """Return the entities, with those of one label that stand next to each other, or one character apart, as one."""
    joined: list[Entity] = []
    for start, end, label in sorted(entities):
        if joined and joined[-1][2] == label and start <= joined[-1][1] + 1:
            joined[-1] = (joined[-1][0], max(end, joined[-1][1]), label)
        else:
            joined.append((start, end, label))
    return frozenset(joined)


ENTITY_F1 = Metric(name="entity F1", answer=entities_of, counts=entities_in_common, value=f1)


def details(facts: ModelFacts) -> dict[str, Any]:
    """Return the id of the token for unknown words, which is never a part of another word; -1 if there is none.

    A tokenizer's class has one that its config need not name: nothing is returned then, and its file is asked.
    """
    token = facts.tokenizer_config.get("unk_token")
    if isinstance(token, dict):
        token = token.get("content")
    if isinstance(token, str):
        return {"unknown_id": facts.vocabulary.get(token, -1)}
    named = facts.tokenizer_config.get("tokenizer_class")
    return {"unknown_id": -1} if named in WITHOUT_UNKNOWN else {}


DESCRIPTION = TaskDescription(
    name=Task.TOKEN_CLASSIFICATION,
    family=FamilyName.ENCODER,
    rows=RowFormat(
        parse=parse_row,
        example='{"text": "...", "entities": [{"start": 0, "end": 5, "label": "PER"}]}',
    ),
    comparison=AnswerComparison(metric=ENTITY_F1),
    answer_labels=AnswerLabels(
        known=lambda labels, rows: dict.fromkeys(
            name for label in labels if (name := label_of(label)) != OUTSIDE
        ),
        of=lambda entities: (label for _, _, label in entities),
    ),
    transformers=TransformersModel(
        architectures=("ForTokenClassification",),
        export_task="token-classification",
        details=details,
    ),
    graph=GraphOutputs(rank=3, bare=True, removable_activations=("softmax",)),
    min_labels=2,
    one_text=True,
)
