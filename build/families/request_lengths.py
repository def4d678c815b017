"""Requests to time a model with, by their number of tokens, made of the user's own rows."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from build.evaluation.metrics import AllOutputs
from build.families.family import Rows, requests_as_given
from build.sources.source import TokenizedSource
from contracts.prediction import PredictRequest
from functions.inference.token_batches import open_tokenizer

# Numbers of tokens: a few words, a sentence, a paragraph, a page.
LENGTHS = (8, 32, 128, 256)
# Characters to join for each token: most tokens are shorter.
CHARACTERS = 12


def requests(
    source: TokenizedSource, rows: Rows, reference: AllOutputs
) -> dict[int, PredictRequest]:
    """Return requests by their number of tokens.

    If an input may be one text of any length, the rows are joined and cut to each of LENGTHS that the model reads.
    Otherwise rows are used as they are.
    """
    texts = [row.request.inputs[0] for row in rows]
    if source.task.one_text and all(isinstance(text, str) for text in texts):
        return _of_lengths([str(text) for text in texts], source.tokenizer, source.max_tokens)
    return requests_as_given(source, rows, reference)


def _of_lengths(texts: Sequence[str], path: Path, max_tokens: int) -> dict[int, PredictRequest]:
    tokenizer = open_tokenizer(path, max(LENGTHS) * 4)
    joined: list[str] = []
    characters = 0
    while characters < max(LENGTHS) * CHARACTERS:
        joined.append(texts[len(joined) % len(texts)])
        characters += len(joined[-1]) + 1
    text = " ".join(joined)
    encoding = tokenizer.encode(text)
    special = int(np.sum(encoding.special_tokens_mask))
    # The end of each token in the text, in characters, to cut it at.
    ends = [
        end
        for (_, end), mask in zip(encoding.offsets, encoding.special_tokens_mask, strict=True)
        if not mask
    ]
    limit = min(max_tokens, len(ends) + special)
    lengths = [n for n in LENGTHS if special < n <= limit] or [max_tokens]
    return {
        n: PredictRequest(inputs=(text[: ends[min(n - special, len(ends)) - 1]],)) for n in lengths
    }
