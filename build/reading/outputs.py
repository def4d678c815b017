"""The answers of a library in the form of our outputs, and their margins.

A margin is the difference between the logit of the answer and that of the next one, which is the logarithm of the ratio
of their probabilities: a probability of one of 30,000 tokens would be too small to compare.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from build.evaluation.metrics import Outputs
from build.evaluation.rows import Row
from build.evaluation.teacher_forcing import FORCED_TOKENS, IDS, LOG_PROBABILITIES
from build.reading.library import Answers, library
from build.sources.source import TransformersSource
from build.workspace.progress import Notify, silent
from contracts.api.text_classification import THRESHOLD
from contracts.tasks import Task
from functions.inference.scoring import perplexity

# The margins of one output, by names that its task's comparison knows (`build.reading.comparison`).
Margins = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """The reference's outputs for each row.

    `libraries` are the versions of the libraries that gave them, and `margins` those of each output; both are empty
    where the reference is read by our own code, since no other reader of the format is at hand.
    """

    outputs: Sequence[Outputs]
    margins: Sequence[Sequence[Margins]] = ()
    libraries: Mapping[str, str] = field(default_factory=dict)


def run_library(
    source: TransformersSource, rows: Sequence[Row], notify: Notify = silent
) -> Reference:
    """Return the reference by the library that the model was saved with.

    Raise SourceError where that fails, and ModelFailed for numbers that are not finite.
    """
    answers, libraries = library().answers(source, rows, notify)
    return reference_of(source.task.name, rows, answers, libraries)


def reference_of(
    task: Task, rows: Sequence[Row], answers: Sequence[Answers], libraries: Mapping[str, str]
) -> Reference:
    """Return the answers of a library as the reference."""
    mapped = [
        [OUTPUTS[task](row, a) for a in of_row] for row, of_row in zip(rows, answers, strict=True)
    ]
    outputs = [[output for output, _ in of_row] for of_row in mapped]
    if task is Task.TEXT_RANKING:
        for of_row in outputs:
            _rank(of_row)
    margins = [[margins for _, margins in of_row] for of_row in mapped]
    return Reference(outputs=outputs, margins=margins, libraries=libraries)


Answer = Mapping[str, Any]
Mapped = tuple[dict[str, Any], Margins]


def _label(row: Row, answer: Answer) -> Mapped:
    scores = answer["scores"]
    output = {**scores[0], "tokens": answer["tokens"]}
    if answer["kind"] == "multi_label_classification":
        output["labels"] = [s for s in scores if s["score"] >= THRESHOLD.default]
    if answer["kind"] == "regression" and len(scores) > 1:
        output["top"] = scores
    return output, {"scores": scores, "margin": answer["margin"], "labels": answer["margins"]}


def _entities(row: Row, answer: Answer) -> Mapped:
    text = str(row.request.inputs[0])
    entities = [{**e, "text": text[e["start"] : e["end"]]} for e in answer["entities"]]
    return {"entities": entities, "tokens": answer["tokens"]}, {"tokens": answer["margins"]}


def _chosen(row: Row, answer: Answer) -> Mapped:
    pairs = zip(answer["labels"], answer["scores"], strict=True)
    top = [{"label": label, "score": score} for label, score in pairs]
    return {**top[0], "top": top, "tokens": answer["tokens"]}, {"margin": answer["margin"]}


def _masks(row: Row, answer: Answer) -> Mapped:
    # Byte-level and SentencePiece tokens decode with the space in front of a word.
    tops = [[{**t, "token": t["token"].strip()} for t in top] for top in answer["masks"]]
    masks = [{**top[0], "top": top} for top in tops]
    return {"masks": masks, "tokens": answer["tokens"]}, {"masks": answer["margins"]}


def _span(row: Row, answer: Answer) -> Mapped:
    return {**answer["spans"][0], "tokens": answer["tokens"]}, {"margin": answer["margin"]}


def _embedding(row: Row, answer: Answer) -> Mapped:
    return {"embedding": answer["embedding"], "tokens": answer["tokens"]}, {}


def _score(row: Row, answer: Answer) -> Mapped:
    output = {"score": answer["score"], "tokens": answer["tokens"]}
    return output, {"logit": answer["logit"]}


def _rank(outputs: Sequence[dict[str, Any]]) -> None:
    """Number the texts from 1, the best; equal scores keep the order of the request."""
    order = sorted(range(len(outputs)), key=lambda i: -outputs[i]["score"])
    for place, i in enumerate(order, start=1):
        outputs[i]["rank"] = place


def _generated(row: Row, answer: Answer) -> Mapped:
    output = {
        "generated_text": answer["text"],
        FORCED_TOKENS: answer["forced"],
        IDS: answer["argmax"],
        LOG_PROBABILITIES: answer["log_probabilities"],
        "tokens": answer["tokens"],
    }
    names = ("generated", "margins", "forced_margins", "new_tokens", "sampled", "rounds")
    return output, {name: answer[name] for name in names if name in answer}


def _scored(row: Row, answer: Answer) -> Mapped:
    scores = answer["log_probabilities"]
    pieces = list(zip(answer["pieces"], answer["offsets"], answer["special"], strict=True))
    entries, place = [], pieces[0][1][1] if pieces else 0
    for (token, (start, end), special), score in zip(pieces[1:], scores, strict=False):
        # A special token has no characters: it stands after those before it.
        start, end = (place, place) if special else (start, end)
        place = end
        entries.append({"token": token, "start": start, "end": end, "log_probability": score})
    total = sum(scores)
    return {
        "log_probability": total,
        "perplexity": perplexity(total, len(scores)),
        "tokens": len(scores),
        "per_token": entries,
    }, {}


OUTPUTS: Mapping[Task, Callable[[Row, Answer], Mapped]] = {
    Task.TEXT_CLASSIFICATION: _label,
    Task.TOKEN_CLASSIFICATION: _entities,
    Task.ZERO_SHOT_CLASSIFICATION: _chosen,
    Task.FILL_MASK: _masks,
    Task.QUESTION_ANSWERING: _span,
    Task.FEATURE_EXTRACTION: _embedding,
    Task.TEXT_RANKING: _score,
    Task.TEXT_GENERATION: _generated,
    Task.TEXT2TEXT_GENERATION: _generated,
    Task.LANGUAGE_MODEL_SCORING: _scored,
}
