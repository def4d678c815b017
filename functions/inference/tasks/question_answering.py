"""Extractive question answering: the span of a context that answers a question, as transformers' pipeline finds it.

A long context is run in overlapping windows, each with the whole question.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tokenizers import Encoding

from contracts.api.question_answering import API, HANDLE_IMPOSSIBLE_ANSWER, MAX_ANSWER_LEN, TOP_K
from contracts.api.task_api import Parameter
from contracts.manifest import Manifest
from contracts.prediction import Input
from functions.inference.tasks.head import Context, Output, Parameters, TaskHead, Text

# Candidate spans beyond twice `top_k`: several of them may have the same text and become one answer.
EXTRA_SPANS = 10
Floats = NDArray[np.float32]


def texts(value: Input, parameters: Parameters, manifest: Manifest) -> list[Text]:
    # `problems` lets nothing but objects through.
    assert not isinstance(value, str)
    return [(value["question"], value["context"])]


def postprocess(
    value: Input, encodings: Sequence[Encoding], results: Sequence[Any], context: Context
) -> Output:
    """Return the best answer from [tokens, 2] logits of starts and ends in each window; `top` if `top_k` is given.

    A span's score is the product of the probabilities of its start and its end; the scores of spans with the same text
    are added. With `handle_impossible_answer` the empty answer competes, with the score of the first token (SQuAD 2).
    """
    assert not isinstance(value, str)
    parameters = context.parameters
    top_k = TOP_K.value(parameters) or 1
    longest = MAX_ANSWER_LEN.value(parameters)
    answers: dict[str, Output] = {}
    empty = 1.0
    for encoding, logits in zip(encodings, results, strict=True):
        starts, ends, null = _probabilities(encoding, logits)
        # The context has no answer only if no window has one.
        empty = min(empty, null)
        for i, j in _best(starts, ends, longest, top_k * 2 + EXTRA_SPANS):
            start, end = _characters(encoding, i, j)
            text = value["context"][start:end]
            # As in transformers, answers that differ in case alone are one answer.
            answer = answers.setdefault(
                text.lower(), {"answer": text, "score": 0.0, "start": start, "end": end}
            )
            answer["score"] += float(starts[i] * ends[j])
    ranked = list(answers.values())
    if HANDLE_IMPOSSIBLE_ANSWER.value(parameters) or not ranked:
        ranked.append({"answer": "", "score": empty, "start": 0, "end": 0})
    ranked.sort(key=lambda answer: -answer["score"])
    return {**ranked[0], **({"top": ranked[:top_k]} if TOP_K.value(parameters) else {})}


def _probabilities(encoding: Encoding, logits: Any) -> tuple[Floats, Floats, float]:
    """Return the probabilities of starts and ends within the context, and the one that there is no answer.

    As in transformers, the softmax runs over the context and the first token, which stands for no answer.
    """
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
    """Return the likeliest spans of at most `longest` tokens, best first, without those of probability 0."""
    # The upper triangle has the spans that end no earlier than they start, and the band the short ones among them.
    table = np.tril(np.triu(np.outer(starts, ends)), longest - 1)
    flat = table.ravel()
    order = np.argsort(-flat, kind="stable")[:count]
    return [(int(k) // len(ends), int(k) % len(ends)) for k in order if flat[k] > 0]


def _characters(encoding: Encoding, first: int, last: int) -> tuple[int, int]:
    """Return the start and end in characters, extended to whole words where a token ends within one."""
    first_word, last_word = encoding.token_to_word(first), encoding.token_to_word(last)
    if first_word is None or last_word is None:
        return encoding.offsets[first][0], encoding.offsets[last][1]
    start, end = encoding.word_to_chars(first_word, 1), encoding.word_to_chars(last_word, 1)
    # A window that begins within a word has only the rest of it, so the token's own place may be further out.
    return (
        min(start[0] if start else encoding.offsets[first][0], encoding.offsets[first][0]),
        max(end[1] if end else 0, encoding.offsets[last][1]),
    )


def parameters_of(manifest: Manifest) -> list[Parameter]:
    limited = MAX_ANSWER_LEN.limited(maximum=manifest.max_tokens)
    return [TOP_K, limited, HANDLE_IMPOSSIBLE_ANSWER]


HEAD = TaskHead(
    api=API,
    parameters=parameters_of,
    texts=texts,
    postprocess=postprocess,
    output_width=lambda manifest: 2,
    output_rank=3,
    # The question stays whole; only the context is cut into windows.
    truncation="only_second",
    windows=True,
)
