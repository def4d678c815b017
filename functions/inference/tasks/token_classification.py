"""Token classification: named entities, as spans of the text grouped from the labels of tokens.

The aggregation strategies and their scores are those of transformers' token-classification pipeline; words are those
of the tokenizer. A long text is run in overlapping windows, and each token is read where it has most context.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import numpy as np
from tokenizers import Encoding

from contracts.api.token_classification import AGGREGATION, API
from contracts.prediction import Input
from functions.inference.tasks.head import Context, Output, TaskHead

OUTSIDE = "O"


@dataclass(frozen=True, slots=True)
class Span:
    """One token or one word: its characters, the scores of all labels, and the word it belongs to."""

    start: int
    end: int
    word: object
    scores: Any


@dataclass(frozen=True, slots=True)
class Entity:
    """One labelled span; `begins` is true for a B- tag, which starts a new entity (IOB2)."""

    label: str
    begins: bool
    score: float
    start: int
    end: int


def postprocess(
    value: Input, encodings: Sequence[Encoding], results: Sequence[Any], context: Context
) -> Output:
    """Return the entities, with their characters in the text, from [tokens, labels] logits of each window."""
    text = str(value)
    strategy = AGGREGATION.value(context.parameters)
    tokens = _tokens(encodings, results)
    spans = tokens if strategy in ("simple", "none") else _words(tokens, strategy)
    pieces = [_entity(span, context.manifest.labels) for span in spans]
    if strategy != "none":
        pieces = _grouped(pieces)
    return {
        "entities": [
            {
                "label": piece.label,
                "score": piece.score,
                "start": piece.start,
                "end": piece.end,
                "text": text[piece.start : piece.end],
            }
            for piece in pieces
            if piece.label != OUTSIDE
        ]
    }


def _tokens(encodings: Sequence[Encoding], results: Sequence[Any]) -> list[Span]:
    """Return every token of the text once, from the window with most context around it."""
    best: dict[tuple[int, int], tuple[int, Span]] = {}
    last = len(encodings) - 1
    for window, (encoding, logits) in enumerate(zip(encodings, results, strict=True)):
        powers = np.exp(logits - logits.max(axis=-1, keepdims=True))
        scores = powers / powers.sum(axis=-1, keepdims=True)
        inner = [i for i, special in enumerate(encoding.special_tokens_mask) if not special]
        for place, i in enumerate(inner):
            # Only an edge within the text cuts context off; at its beginning and end there is none to lose.
            before = place if window else len(inner)
            after = len(inner) - 1 - place if window < last else len(inner)
            start, end = encoding.offsets[i]
            # Windows overlap: a token is known by its characters, which are the same in each of them.
            known = best.get((start, end))
            if known is None or min(before, after) > known[0]:
                word = encoding.word_ids[i]
                best[start, end] = min(before, after), Span(start, end, word, scores[i])
    return [span for _, span in sorted(best.values(), key=lambda b: (b[1].start, b[1].end))]


def _words(tokens: Sequence[Span], strategy: str) -> list[Span]:
    """Return words with the scores of their first token, of the most certain one, or the mean of all."""
    words = []
    for word, group in groupby(tokens, key=lambda token: token.word):
        parts = list(group)
        if strategy == "first":
            scores = parts[0].scores
        elif strategy == "max":
            scores = max(parts, key=lambda part: float(part.scores.max())).scores
        else:
            # As in transformers, the mean of probabilities and not of logits.
            scores = np.mean([part.scores for part in parts], axis=0)
        words.append(Span(parts[0].start, parts[-1].end, word, scores))
    return words


def _entity(span: Span, labels: Sequence[str]) -> Entity:
    best = int(span.scores.argmax())
    tag = labels[best]
    # As in transformers, a label without a prefix counts as within an entity.
    label = tag[2:] if tag[:2] in ("B-", "I-") else tag
    return Entity(label, tag.startswith("B-"), float(span.scores[best]), span.start, span.end)


def _grouped(pieces: Sequence[Entity]) -> list[Entity]:
    """Join spans of one label that follow each other; a B- tag begins a new entity."""
    groups: list[list[Entity]] = []
    for piece in pieces:
        if groups and groups[-1][-1].label == piece.label and not piece.begins:
            groups[-1].append(piece)
        else:
            groups.append([piece])
    return [
        Entity(
            group[0].label,
            group[0].begins,
            float(np.mean([piece.score for piece in group])),
            group[0].start,
            group[-1].end,
        )
        for group in groups
    ]


HEAD = TaskHead(
    api=API,
    postprocess=postprocess,
    output_width=lambda m: len(m.labels),
    output_rank=3,
    windows=True,
)
