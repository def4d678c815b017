"""The labelled rows a model is proven on: JSON lines, in the form of the task."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from textwrap import shorten
from typing import Any

from build.errors import MAX_PROBLEMS
from build.evaluation.jsonlines import Wrong, lines_of, object_of
from contracts.prediction import PredictRequest
from contracts.problems import Code, Problem
from contracts.tasks import Task

# What a model that writes is asked for on each row.
NEW_TOKENS = 16
# How many of the nearest words are asked for with each word.
NEAREST = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One request with its right answer, in the form `build.evaluation.metrics` compares; None where it has none."""

    request: PredictRequest
    answer: Any = None


Labels = Sequence[str] | None


def read_rows(path: Path, task: Task, labels: Labels) -> tuple[tuple[Row, ...], list[Problem]]:
    """The rows, and what is wrong with the file, line by line. `labels` are those the model knows; None: not known."""
    lines, unread = lines_of(path)
    if unread:
        return (), [unread.within(path)]
    rows: list[Row] = []
    problems: list[Problem] = []
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            rows.append(FORMS[task](object_of(line), labels))
        except Wrong as wrong:
            problems.append(Problem(code=wrong.code, where=f"{path}:{number}", message=str(wrong)))
    whole = [problem.within(path) for problem in _whole(rows, task, wrong=len(problems))]
    if len(problems) > MAX_PROBLEMS:
        more = f"and {len(problems) - MAX_PROBLEMS} more lines like these"
        problems[MAX_PROBLEMS:] = [Problem(code=Code.ROWS_INVALID, where=str(path), message=more)]
    return tuple(rows), [*problems, *whole]


def _whole(rows: Sequence[Row], task: Task, *, wrong: int) -> list[Problem]:
    """What is wrong with the file as a whole, as far as the other lines tell that where some are wrong."""
    if not rows and not wrong:
        message = f"has no rows; write one JSON object a line, such as {EXAMPLES[task]}"
        return [Problem(code=Code.ROWS_MISSING, message=message)]
    scored = task in (Task.FEATURE_EXTRACTION, Task.WORD_VECTORS)
    labelled = sum(row.answer is not None for row in rows)
    if 0 < labelled < len(rows):
        message = (
            f"{labelled} of {len(rows)} {'other ' * bool(wrong)}rows have a "
            f"{'score' if scored else 'right answer'}; give it to all of them, or to "
            "none and the original's own answers are the reference"
        )
        return [Problem(code=Code.ROWS_INVALID, message=message)]
    if labelled and not wrong and task is Task.FEATURE_EXTRACTION:
        return _all_alike(rows)
    return []


def _all_alike(rows: Sequence[Row]) -> list[Problem]:
    """Return a problem where the scores rank nothing."""
    if len({row.answer for row in rows}) > 1:
        return []
    message = (
        f"every score is {rows[0].answer:g}, which ranks nothing; give pairs that are more alike and less, or leave "
        "the scores out"
    )
    return [Problem(code=Code.ROWS_INVALID, message=message)]


def _text(row: dict[str, Any], key: str = "text") -> str:
    value = row.get(key)
    if value is not None and not isinstance(value, str):
        raise Wrong(f'"{key}" is {shorten(repr(value), 60)}; it has to be a text')
    if value is None or not value.strip():
        raise Wrong(f'no "{key}"; every row needs one that is not empty')
    return value


def _known(label: object, labels: Labels) -> str:
    if not isinstance(label, str):
        raise Wrong(f'"label" is {label!r}, not a text')
    if labels is not None and label not in labels:
        message = f"the model does not know the label {label!r}; it knows {', '.join(labels)}"
        raise Wrong(message, Code.LABELS_MISMATCH)
    return label


def _list_of(value: object, kind: type, what: str) -> list[Any]:
    if not isinstance(value, list) or not value or not all(isinstance(v, kind) for v in value):
        raise Wrong(f"{what} is not a list of them, or empty")
    return value


def _request(*inputs: Any, **parameters: Any) -> PredictRequest:
    return PredictRequest(inputs=inputs, parameters=parameters)


def _classified(row: dict[str, Any], labels: Labels) -> Row:
    value: Any = _text(row)
    if "text_pair" in row:
        value = {"text": value, "text_pair": _text(row, "text_pair")}
    if "labels" in row:
        if not isinstance(row["labels"], list):
            raise Wrong('"labels" is not a list')
        answer: Any = frozenset(_known(label, labels) for label in row["labels"])
    else:
        answer = _known(row["label"], labels) if "label" in row else None
    return Row(request=_request(value), answer=answer)


def _tagged(row: dict[str, Any], labels: Labels) -> Row:
    """Entities by their place in `text`, or as CoNLL has them: `tokens` with a tag each."""
    if "tokens" in row:
        return _conll(row, labels)
    text = _text(row)
    if "entities" not in row:
        return Row(request=_request(text))
    names = None if labels is None else sorted({_bare(label) for label in labels})
    found = set()
    for entity in row["entities"] if isinstance(row["entities"], list) else [None]:
        match entity:
            case {"start": int(start), "end": int(end), "label": str(label)}:
                if not 0 <= start < end <= len(text):
                    raise Wrong(f"an entity stands at {start} to {end}, outside of its text")
                found.add((start, end, _known(label, names)))
            case _:
                raise Wrong('an entity has to have "start", "end" and "label"')
    return Row(request=_request(text), answer=frozenset(found))


def _bare(tag: str) -> str:
    return tag.removeprefix("B-").removeprefix("I-")


def _conll(row: dict[str, Any], labels: Labels) -> Row:
    tokens = _list_of(row["tokens"], str, '"tokens"')
    text = " ".join(tokens)
    if "tags" not in row:
        return Row(request=_request(text))
    tags = _list_of(row["tags"], str, '"tags"')
    if len(tags) != len(tokens):
        raise Wrong(f"{len(tokens)} tokens, but {len(tags)} tags")
    found: list[tuple[int, int, str]] = []
    place, before = 0, "O"
    for token, tag in zip(tokens, tags, strict=True):
        label, end = _known(tag, labels)[2:], place + len(token)
        if tag.startswith("I-") and before[2:] == label:
            found[-1] = (found[-1][0], end, label)
        elif tag != "O":
            found.append((place, end, label))
        place, before = end + 1, tag
    return Row(request=_request(text), answer=frozenset(found))


def _word(row: dict[str, Any], labels: Labels) -> Row:
    """A word; or two, and how alike people find them."""
    word = _text(row)
    if "other" not in row and "score" not in row:
        return Row(request=_request(word, nearest=NEAREST))
    score = _score(row, "text", "other")
    return Row(request=_request(word, _text(row, "other"), nearest=NEAREST), answer=score)


def _score(row: dict[str, Any], one: str, other: str) -> float:
    score = row.get("score")
    if isinstance(score, bool) or not isinstance(score, int | float) or not abs(score) < 1e300:
        raise Wrong(f'"score" has to be a number that says how alike "{one}" and "{other}" are')
    return float(score)


def _likened(row: dict[str, Any], labels: Labels) -> Row:
    """A text; or two, and how alike people find them: in our words, or in the columns of the STS benchmark."""
    sts = "sentence1" in row
    one, other = ("sentence1", "sentence2") if sts else ("text", "text_pair")
    text = _text(row, one)
    if other not in row and "score" not in row:
        return Row(request=_request(text))
    score = _score(row, one, other)
    return Row(request=_request(text, _text(row, other)), answer=score)


def _prompted(row: dict[str, Any], labels: Labels) -> Row:
    answer = _text(row, "target") if "target" in row else None
    return Row(request=_request(_text(row), max_new_tokens=NEW_TOKENS), answer=answer)


def _scored(row: dict[str, Any], labels: Labels) -> Row:
    return Row(request=_request(_text(row), per_token=True))


def _filled(row: dict[str, Any], labels: Labels) -> Row:
    return Row(request=_request(_text(row)), answer=_text(row, "label") if "label" in row else None)


def _answered(row: dict[str, Any], labels: Labels) -> Row:
    value = {"question": _text(row, "question"), "context": _text(row, "context")}
    answers = _list_of(row["answers"], str, '"answers"') if "answers" in row else None
    return Row(request=_request(value), answer=tuple(answers) if answers else None)


def _ranked(row: dict[str, Any], labels: Labels) -> Row:
    texts = _list_of(row.get("texts"), str, '"texts"')
    label = row.get("label")
    if label is not None and not (isinstance(label, int) and 0 <= label < len(texts)):
        raise Wrong(f'"label" has to be the place of the best text, from 0 to {len(texts) - 1}')
    return Row(request=_request(*texts, query=_text(row, "query")), answer=label)


def _candidates(row: dict[str, Any], labels: Labels) -> Row:
    names = _list_of(row.get("candidate_labels"), str, '"candidate_labels"')
    template = {k: row[k] for k in ("hypothesis_template",) if k in row}
    answer = _known(row["label"], names) if "label" in row else None
    return Row(request=_request(_text(row), candidate_labels=names, **template), answer=answer)


FORMS: dict[Task, Callable[[dict[str, Any], Labels], Row]] = {
    Task.TEXT_CLASSIFICATION: _classified,
    Task.TOKEN_CLASSIFICATION: _tagged,
    Task.ZERO_SHOT_CLASSIFICATION: _candidates,
    Task.TEXT_RANKING: _ranked,
    Task.FEATURE_EXTRACTION: _likened,
    Task.FILL_MASK: _filled,
    Task.QUESTION_ANSWERING: _answered,
    Task.TEXT_GENERATION: _prompted,
    Task.TEXT2TEXT_GENERATION: _prompted,
    Task.WORD_VECTORS: _word,
    Task.LANGUAGE_MODEL_SCORING: _scored,
}
EXAMPLES: dict[Task, str] = {
    Task.TEXT_CLASSIFICATION: '{"text": "...", "label": "..."}',
    Task.TOKEN_CLASSIFICATION: '{"text": "...", "entities": [{"start": 0, "end": 5, "label": "PER"}]}',
    Task.ZERO_SHOT_CLASSIFICATION: '{"text": "...", "candidate_labels": ["...", "..."], "label": "..."}',
    Task.TEXT_RANKING: '{"query": "...", "texts": ["...", "..."], "label": 0}',
    Task.FEATURE_EXTRACTION: '{"text": "..."} or {"text": "...", "text_pair": "...", "score": 3.8}',
    Task.FILL_MASK: '{"text": "... [MASK] ...", "label": "..."}',
    Task.TEXT_GENERATION: '{"text": "..."} or {"text": "...", "target": "what follows"}',
    Task.TEXT2TEXT_GENERATION: '{"text": "..."} or {"text": "...", "target": "the right answer"}',
    Task.QUESTION_ANSWERING: '{"question": "...", "context": "...", "answers": ["..."]}',
    Task.LANGUAGE_MODEL_SCORING: '{"text": "..."}',
    Task.WORD_VECTORS: '{"text": "king"} or {"text": "king", "other": "queen", "score": 8.6}',
}
