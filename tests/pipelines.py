"""What transformers itself answers: an answer that is right or not, and the scores that it has.

`ours` takes the same from what an artefact answers.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from contracts.tasks import Task
from tests.tiny_bert import POSITIONS
from tests.tiny_taught import Row

Answer = tuple[Any, list[float]]
Outputs = Sequence[dict[str, Any]]


def pipeline(task: str, folder: Path, **more: Any) -> Any:
    from transformers import pipeline as make

    return make(task, model=str(folder), tokenizer=str(folder), device="cpu", **more)


def _entities(folder: Path) -> Callable[[Row], Answer]:
    theirs = pipeline("token-classification", folder, aggregation_strategy="first")

    def answer(row: Row) -> Answer:
        found = theirs(row["text"])
        places = [(e["entity_group"], e["start"], e["end"]) for e in found]
        return places, [float(e["score"]) for e in found]

    return answer


def _span(folder: Path) -> Callable[[Row], Answer]:
    theirs = pipeline("question-answering", folder)

    def answer(row: Row) -> Answer:
        found = theirs(**row, max_seq_len=POSITIONS, doc_stride=POSITIONS // 2)
        return (found["answer"], found["start"], found["end"]), [found["score"]]

    return answer


def _mask(folder: Path) -> Callable[[Row], Answer]:
    theirs = pipeline("fill-mask", folder)

    def answer(row: Row) -> Answer:
        (found,) = theirs(row["text"], top_k=1)
        return found["token_str"], [found["score"]]

    return answer


def _ranks(folder: Path) -> Callable[[Row], Answer]:
    theirs = pipeline("text-classification", folder)

    def answer(row: Row) -> Answer:
        scores = [theirs({"text": row["query"], "text_pair": t})["score"] for t in row["texts"]]
        return [1 + sum(s > own for s in scores) for own in scores], scores

    return answer


def _label(folder: Path) -> Callable[[Row], Answer]:
    theirs = pipeline("zero-shot-classification", folder)

    def answer(row: Row) -> Answer:
        found = theirs(row["text"], row["candidate_labels"])
        return found["labels"], found["scores"]

    return answer


THEIRS: dict[Task, Callable[[Path], Callable[[Row], Answer]]] = {
    Task.TOKEN_CLASSIFICATION: _entities,
    Task.QUESTION_ANSWERING: _span,
    Task.FILL_MASK: _mask,
    Task.TEXT_RANKING: _ranks,
    Task.ZERO_SHOT_CLASSIFICATION: _label,
}


def ours(task: Task, outputs: Outputs) -> Answer:
    first = outputs[0]
    match task:
        case Task.TOKEN_CLASSIFICATION:
            found = first["entities"]
            return [(e["label"], e["start"], e["end"]) for e in found], [e["score"] for e in found]
        case Task.QUESTION_ANSWERING:
            return (first["answer"], first["start"], first["end"]), [first["score"]]
        case Task.FILL_MASK:
            (mask,) = first["masks"]
            return mask["token"], [mask["score"]]
        case Task.TEXT_RANKING:
            return [o["rank"] for o in outputs], [o["score"] for o in outputs]
    return [e["label"] for e in first["top"]], [e["score"] for e in first["top"]]
