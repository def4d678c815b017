"""The part of a context that answers a question, as transformers' question-answering pipeline finds it.

A long context is read in overlapping windows, each with the whole question.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tokenizers import Encoding

from contracts.errors import RequestProblem
from contracts.manifest import Manifest
from contracts.prediction import Input, PredictRequest
from functions.inference.tasks.reading import (
    Context,
    Output,
    Parameters,
    TaskHead,
    Text,
    flag,
    objects_of,
    unknown,
    whole_number,
)

MAX_ANSWER_LEN = 15
# Spans that are looked at besides those asked for: several may come to be the same words.
SPARE = 10
Floats = NDArray[np.float32]


def texts(value: Input, parameters: Parameters) -> list[Text]:
    assert not isinstance(value, str)
    return [(value["question"], value["context"])]


def read(
    value: Input, encodings: Sequence[Encoding], numbers: Sequence[Any], context: Context
) -> Output:
    """[tokens, 2] logits of starts and ends in each window -> the best answer, `top` where `top_k` asks for more.

    A span's score is the product of its ends' probabilities; spans of equal words add up. With
    `handle_impossible_answer` the empty answer competes, by the score of the first token.
    """
    assert not isinstance(value, str)
    parameters = context.parameters
    top_k = parameters.get("top_k", 1)
    longest = parameters.get("max_answer_len", MAX_ANSWER_LEN)
    answers: dict[str, Output] = {}
    empty = 1.0
    for encoding, logits in zip(encodings, numbers, strict=True):
        starts, ends, null = _probabilities(encoding, logits)
        empty = min(empty, null)
        for i, j in _best(starts, ends, longest, top_k * 2 + SPARE):
            start, end = _characters(encoding, i, j)
            text = value["context"][start:end]
            answer = answers.setdefault(
                text.lower(), {"answer": text, "score": 0.0, "start": start, "end": end}
            )
            answer["score"] += float(starts[i] * ends[j])
    found = list(answers.values())
    if parameters.get("handle_impossible_answer") or not found:
        found.append({"answer": "", "score": empty, "start": 0, "end": 0})
    found.sort(key=lambda answer: -answer["score"])
    return {**found[0], **({"top": found[:top_k]} if "top_k" in parameters else {})}


def _probabilities(encoding: Encoding, logits: Any) -> tuple[Floats, Floats, float]:
    """Where an answer starts and ends, in the context alone; and how sure the first token says that there is none."""
    inside = np.array([part == 1 for part in encoding.sequence_ids])
    inside &= ~np.array(encoding.special_tokens_mask, bool)
    allowed = inside.copy()
    allowed[0] = True
    masked = np.where(allowed[:, None], logits, -np.inf)
    powers = np.exp(masked - masked.max(axis=0))
    scores = powers / powers.sum(axis=0)
    null = float(scores[0, 0] * scores[0, 1])
    scores[~inside] = 0
    return scores[:, 0], scores[:, 1], null


def _best(starts: Floats, ends: Floats, longest: int, count: int) -> list[tuple[int, int]]:
    """The likeliest spans of at most that many tokens, the best first; those of no likelihood left out."""
    table = np.tril(np.triu(np.outer(starts, ends)), longest - 1)
    flat = table.ravel()
    order = np.argsort(-flat, kind="stable")[:count]
    return [(int(k) // len(ends), int(k) % len(ends)) for k in order if flat[k] > 0]


def _characters(encoding: Encoding, first: int, last: int) -> tuple[int, int]:
    """The characters of whole words, even where a token ends within one."""
    one, other = encoding.token_to_word(first), encoding.token_to_word(last)
    if one is None or other is None:
        return encoding.offsets[first][0], encoding.offsets[last][1]
    start, end = encoding.word_to_chars(one, 1), encoding.word_to_chars(other, 1)
    # A window that begins within a word does not know where the word begins.
    return (
        min(start[0] if start else encoding.offsets[first][0], encoding.offsets[first][0]),
        max(end[1] if end else 0, encoding.offsets[last][1]),
    )


def problems(request: PredictRequest, manifest: Manifest) -> list[RequestProblem]:
    parameters = request.parameters
    known = ("top_k", "max_answer_len", "handle_impossible_answer")
    return [
        *objects_of(request, "question", "context"),
        *unknown(parameters, *known),
        *whole_number(parameters, "top_k", 1, 20),
        *whole_number(parameters, "max_answer_len", 1, manifest.max_tokens),
        *flag(parameters, "handle_impossible_answer"),
    ]


READER = TaskHead(
    problems=problems,
    texts=texts,
    read=read,
    width=lambda manifest: 2,
    rank=3,
    truncation="only_second",
    windows=True,
)
