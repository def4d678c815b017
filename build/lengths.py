"""Requests to time a model with, by how many tokens they have, made from the user's own rows."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from build.rows import Row
from build.timing import LENGTHS
from contracts.prediction import PredictRequest
from contracts.tasks import Task
from functions.inference.tokens import open_tokenizer

# Tasks whose input is one text that may be of any length.
ONE_TEXT = {Task.TEXT_CLASSIFICATION, Task.TOKEN_CLASSIFICATION, Task.FEATURE_EXTRACTION}
QUANTILES = (0.1, 0.5, 0.9)


def requests(
    task: Task, rows: Sequence[Row], tokens: Sequence[int], tokenizer_json: Path, most: int
) -> dict[int, PredictRequest]:
    """Requests by their number of tokens.

    Where an input is one text, rows are put together and cut to each of LENGTHS that the model reads; otherwise rows
    stand for themselves: a short one, one in the middle and a long one. `tokens` are the rows' own.
    """
    texts = [row.request.inputs[0] for row in rows]
    if task in ONE_TEXT and all(isinstance(text, str) for text in texts):
        return _of_lengths([str(text) for text in texts], tokenizer_json, most)
    ordered = sorted(range(len(rows)), key=tokens.__getitem__)
    picked = [ordered[round(q * (len(rows) - 1))] for q in QUANTILES]
    return {tokens[i]: rows[i].request for i in picked}


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
