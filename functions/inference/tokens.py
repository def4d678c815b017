"""Texts to token batches, without a token more than is needed."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tokenizers import Encoding, Tokenizer

from contracts.manifest import Manifest

# Padded tokens in one batch of a full-precision model; bounds the memory of a forward pass.
BATCH_TOKENS = 4096


def open_tokenizer(path: Path, max_tokens: int) -> Tokenizer:
    tokenizer = Tokenizer.from_file(str(path))
    tokenizer.no_padding()
    tokenizer.enable_truncation(max_length=max_tokens)
    return tokenizer


def encode(tokenizer: Tokenizer, texts: Sequence[str]) -> list[Encoding]:
    """One encoding per text; for a single text without the cost of a thread pool."""
    if len(texts) == 1:
        return [tokenizer.encode(texts[0])]
    encodings: list[Encoding] = tokenizer.encode_batch(list(texts))
    return encodings


def batches(encodings: Sequence[Encoding], *, together: bool) -> Iterator[list[int]]:
    """Indices of the texts to run at once.

    A dynamically quantized layer takes its range over the whole batch, so an answer would depend on its
    neighbours: such models run text by text (`together` is false). Others run in batches of like length.
    """
    if not together:
        yield from ([i] for i in range(len(encodings)))
        return
    batch: list[int] = []
    for i in sorted(range(len(encodings)), key=lambda i: len(encodings[i].ids)):
        if batch and (len(batch) + 1) * len(encodings[i].ids) > BATCH_TOKENS:
            yield batch
            batch = []
        batch.append(i)
    yield batch


def feed(
    encodings: Sequence[Encoding], names: Sequence[str], manifest: Manifest
) -> dict[str, NDArray[np.int64]]:
    """The session's inputs, each [batch, longest] int64, padded on the right."""
    longest = max(len(encoding.ids) for encoding in encodings)
    columns: dict[str, Any] = {
        "input_ids": ("ids", manifest.pad_token_id),
        "attention_mask": ("attention_mask", 0),
        "token_type_ids": ("type_ids", manifest.pad_type_id),
    }
    return {name: _column(encodings, longest, *columns[name]) for name in names}


def _column(
    encodings: Sequence[Encoding], longest: int, attribute: str, padding: int
) -> NDArray[np.int64]:
    if len(encodings) == 1:
        return np.array([getattr(encodings[0], attribute)], np.int64)
    column = np.full((len(encodings), longest), padding, np.int64)
    for row, encoding in zip(column, encodings, strict=True):
        values = getattr(encoding, attribute)
        row[: len(values)] = values
    return column
