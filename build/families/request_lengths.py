"""Requests to time a model with, by their number of tokens, made of the user's own rows."""

from collections.abc import Sequence

import numpy as np

from build.evaluation.metrics import AllOutputs
from build.families.family import Rows, requests_as_given
from build.sources.source import TokenizedSource
from contracts.prediction import PredictRequest
from functions.inference.tasks.prompts import OF_EMBEDDERS, prompt_of
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
        prompt = prompt_of({}, source.details, OF_EMBEDDERS)
        return _of_lengths(prompt, [str(text) for text in texts], source)
    return requests_as_given(source, rows, reference)


def _of_lengths(
    prompt: str, texts: Sequence[str], source: TokenizedSource
) -> dict[int, PredictRequest]:
    """Return requests that have those numbers of tokens together with the prompt that the model reads before each."""
    tokenizer = open_tokenizer(source.tokenizer, max(LENGTHS) * 4)
    joined: list[str] = []
    characters = 0
    while characters < max(LENGTHS) * CHARACTERS:
        joined.append(texts[len(joined) % len(texts)])
        characters += len(joined[-1]) + 1
    text = prompt + " ".join(joined)
    encoding = tokenizer.encode(text)
    special = int(np.sum(encoding.special_tokens_mask))
    # The end of each token in the text, in characters, to cut it at.
    ends = [
        end
        for (_, end), mask in zip(encoding.offsets, encoding.special_tokens_mask, strict=True)
        if not mask
    ]
    limit = min(source.max_tokens, len(ends) + special)
    least = special + sum(end <= len(prompt) for end in ends)
    lengths = [n for n in LENGTHS if least < n <= limit] or [source.max_tokens]
    return {
        n: PredictRequest(inputs=(text[len(prompt) : ends[min(n - special, len(ends)) - 1]],))
        for n in lengths
    }
