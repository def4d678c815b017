"""Token classification: named entities, as spans of the text grouped from the tags of tokens.

Words, groups and scores are those of transformers' token-classification pipeline, whatever the scheme of the tags: only
`B-` and `I-` are read as prefixes, so that plain tags (PER) join as IOB1's do, and an `E-`, `S-`, `L-` or `U-` (BIOES,
BILOU) makes an entity of its own. A long text is run in overlapping windows, as by the pipeline with `stride`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from tokenizers import Encoding

from contracts.api.token_classification import AGGREGATION, API
from contracts.prediction import Input
from functions.inference.tasks.head import Context, Output, TaskHead

OUTSIDE = "O"


@dataclass(frozen=True, slots=True)
class Span:
    """One token or one word: its characters, the scores of all tags, and whether a token continues a word."""

    start: int
    end: int
    continues: bool
    scores: Any


@dataclass(frozen=True, slots=True)
class Entity:
    """One tagged or labelled span."""

    label: str
    score: float
    start: int
    end: int


def postprocess(
    value: Input, encodings: Sequence[Encoding], results: Sequence[Any], context: Context
) -> Output:
    """Return the entities, with their characters in the text, from [tokens, tags] logits of each window.

    The text's own `score` is that of its least certain token, whatever this is tagged.
    """
    text, tags = str(value), context.manifest.labels
    strategy = AGGREGATION.value(context.parameters)
    windows = [
        _tokens(text, encoding, logits, context)
        for encoding, logits in zip(encodings, results, strict=True)
    ]
    if strategy == "none":
        found = [_tagged(span, tags) for span in _once(windows)]
    else:
        of_windows = [_entities(window, strategy, tags) for window in windows]
        found = of_windows[0] if len(of_windows) == 1 else _longest(of_windows)
    return {
        "entities": [
            {
                "label": piece.label,
                "score": piece.score,
                "start": piece.start,
                "end": piece.end,
                "text": text[piece.start : piece.end],
            }
            for piece in found
            if piece.label != OUTSIDE
        ],
        "score": min((float(span.scores.max()) for span in _once(windows)), default=1.0),
    }


def label_of(tag: str) -> str:
    """Return the label of an entity with that tag: what follows its first hyphen, or all of it."""
    return tag.split("-", 1)[-1]


def joins(tag: str, before: str) -> bool:
    """Return whether a tag continues the entity of the tag before it: both are of one kind, and it is no B-."""
    return not tag.startswith("B-") and _kind(tag) == _kind(before)


def _kind(tag: str) -> str:
    return tag[2:] if tag.startswith(("B-", "I-")) else tag


def _tokens(text: str, encoding: Encoding, logits: Any, context: Context) -> list[Span]:
    """Return the tokens of one window."""
    powers = np.exp(logits - logits.max(axis=-1, keepdims=True))
    scores = powers / powers.sum(axis=-1, keepdims=True)
    # WordPiece's mark of a token within a word; tokenizers without one are asked for spaces instead.
    marked = bool(getattr(context.tokenizer.model, "continuing_subword_prefix", None))
    unknown = _unknown_id(context)
    spans = []
    for i, special in enumerate(encoding.special_tokens_mask):
        if not special:
            start, end = encoding.offsets[i]
            if encoding.ids[i] == unknown:
                continues = False
            elif marked:
                continues = len(encoding.tokens[i]) != end - start
            else:
                continues = start > 0 and " " not in text[start - 1 : start + 1]
            spans.append(Span(start, end, continues, scores[i]))
    return spans


def _unknown_id(context: Context) -> int | None:
    """Return the id of the token for unknown words, which is a word of its own, or that of the tokenizer's file."""
    details = context.manifest.details
    if "unknown_id" in details:
        return int(details["unknown_id"])
    token = getattr(context.tokenizer.model, "unk_token", None)
    return context.tokenizer.token_to_id(token) if token else None


def _once(windows: Sequence[Sequence[Span]]) -> list[Span]:
    """Return every token of the text once, from the window with most context around it."""
    # Two tokens of one window may be of the same characters.
    if len(windows) == 1:
        return list(windows[0])
    best: dict[tuple[int, int], tuple[int, Span]] = {}
    last = len(windows) - 1
    for number, window in enumerate(windows):
        for place, span in enumerate(window):
            # Only an edge within the text cuts context off; at its beginning and end there is none to lose.
            before = place if number else len(window)
            after = len(window) - 1 - place if number < last else len(window)
            # Windows overlap: a token is known by its characters, which are the same in each of them.
            known = best.get((span.start, span.end))
            if known is None or min(before, after) > known[0]:
                best[span.start, span.end] = min(before, after), span
    return [span for _, span in sorted(best.values(), key=lambda b: (b[1].start, b[1].end))]


def _entities(tokens: Sequence[Span], strategy: str, tags: Sequence[str]) -> list[Entity]:
    """Return the entities of one window, and what lies outside of any between them."""
    spans = tokens if strategy == "simple" else _words(tokens, strategy)
    groups: list[list[Entity]] = []
    for piece in (_tagged(span, tags) for span in spans):
        if groups and joins(piece.label, groups[-1][-1].label):
            groups[-1].append(piece)
        else:
            groups.append([piece])
    return [
        Entity(
            label_of(group[0].label),
            float(np.mean([piece.score for piece in group])),
            group[0].start,
            group[-1].end,
        )
        for group in groups
    ]


def _words(tokens: Sequence[Span], strategy: str) -> list[Span]:
    """Return words with the scores of their first token, of the most certain one, or the mean of all."""
    groups: list[list[Span]] = []
    for token in tokens:
        if groups and token.continues:
            groups[-1].append(token)
        else:
            groups.append([token])
    words = []
    for parts in groups:
        if strategy == "first":
            scores = parts[0].scores
        elif strategy == "max":
            scores = max(parts, key=lambda part: float(part.scores.max())).scores
        else:
            # As in transformers, the mean of probabilities and not of logits.
            scores = np.mean([part.scores for part in parts], axis=0)
        words.append(Span(parts[0].start, parts[-1].end, False, scores))
    return words


def _tagged(span: Span, tags: Sequence[str]) -> Entity:
    best = int(span.scores.argmax())
    return Entity(tags[best], float(span.scores[best]), span.start, span.end)


def _longest(windows: Sequence[Sequence[Entity]]) -> list[Entity]:
    """Return the entities of all windows: of those that overlap the longest, and of equally long ones the likeliest."""
    kept: list[Entity] = []
    found = [piece for window in windows for piece in window if piece.label != OUTSIDE]
    for piece in sorted(found, key=lambda piece: piece.start):
        if kept and kept[-1].start <= piece.start < kept[-1].end:
            kept[-1] = max(kept[-1], piece, key=lambda one: (one.end - one.start, one.score))
        else:
            kept.append(piece)
    return kept


HEAD = TaskHead(
    api=API,
    postprocess=postprocess,
    output_width=lambda m: len(m.labels),
    output_rank=3,
    windows=True,
)
