"""Requests to time a model with, by how many tokens they have, made from the user's own rows."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from build.families.family import Answered, Rows, requests_as_given
from build.sources.source import TokenizedSource
from contracts.prediction import PredictRequest
from functions.inference.tokens import open_tokenizer

LENGTHS = (8, 32, 128, 256)


def requests(source: TokenizedSource, rows: Rows, original: Answered) -> dict[int, PredictRequest]:
    """Requests by their number of tokens.

    Where an input is one text, rows are put together and cut to each of LENGTHS that the model reads; otherwise rows
    stand for themselves.
    """
    texts = [row.request.inputs[0] for row in rows]
    if source.task.one_text and all(isinstance(text, str) for text in texts):
        return _of_lengths([str(text) for text in texts], source.tokenizer, source.max_tokens)
    return requests_as_given(source, rows, original)


def _of_lengths(texts: Sequence[str], path: Path, most: int) -> dict[int, PredictRequest]:
    tokenizer = open_tokenizer(path, max(LENGTHS) * 4)
    long: list[str] = []
    characters = 0
    while characters < max(LENGTHS) * 12:  # tokens are shorter than that on the whole
        long.append(texts[len(long) % len(texts)])
        characters += len(long[-1]) + 1
    encoding = tokenizer.encode(" ".join(long))
    special = int(np.sum(encoding.special_tokens_mask))
    ends = [
        end
        for (_, end), mask in zip(encoding.offsets, encoding.special_tokens_mask, strict=True)
        if not mask
    ]
    lengths = [n for n in LENGTHS if special < n <= min(most, len(ends) + special)] or [most]
    return {
        n: PredictRequest(inputs=(" ".join(long)[: ends[min(n - special, len(ends)) - 1]],))
        for n in lengths
    }
