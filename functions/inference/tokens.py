"""Texts to token batches, without a token more than is needed."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from tokenizers import Encoding, Tokenizer

from contracts.errors import InvalidInput
from contracts.manifest import Manifest

if TYPE_CHECKING:  # what it takes to import is for annotations alone
    from numpy.typing import NDArray

# A session's inputs by name, each [batch, tokens].
Feeds = Mapping[str, "NDArray[np.int64]"]

# Padded tokens in one batch of a full-precision model; bounds the memory of a forward pass.
BATCH_TOKENS = 4096
# Tokens that two windows over one long text share, at most.
STRIDE = 128
# What a graph may ask for, and what an encoding calls it.
INPUTS = {"input_ids": "ids", "attention_mask": "attention_mask", "token_type_ids": "type_ids"}


def open_tokenizer(
    path: Path, max_tokens: int, *, truncation: str = "longest_first", windows: bool = False
) -> Tokenizer:
    """The tokenizer, cutting by that strategy; with `windows` what was cut off comes as overlapping parts.

    The side that is cut off is the one that its file says, where it speaks of truncation.
    """
    tokenizer = Tokenizer.from_file(str(path))
    tokenizer.no_padding()
    stride = stride_of(max_tokens) if windows else 0
    side = "right" if windows else (tokenizer.truncation or {}).get("direction", "right")
    tokenizer.enable_truncation(
        max_length=max_tokens, stride=stride, strategy=truncation, direction=side
    )
    return tokenizer


def stride_of(max_tokens: int) -> int:
    """Tokens shared by two windows: as many as transformers' question-answering pipeline takes."""
    return min(max_tokens // 2, STRIDE)


def encode(
    tokenizer: Tokenizer, texts: Sequence[str | tuple[str, str]], *, offsets: bool = False
) -> list[Encoding]:
    """One encoding per text or pair; without `offsets` it is not known where in the text each token stood.

    Raises InvalidInput where the part that may not be cut leaves no room for the other.
    """
    method = tokenizer.encode_batch if offsets else tokenizer.encode_batch_fast
    try:
        encodings: list[Encoding] = method(list(texts))
    except Exception as error:  # tokenizers raise no narrower kind
        raise InvalidInput(
            f"an input cannot be cut to what the model reads ({error}); shorten its first part"
        ) from error
    return encodings


def batches(encodings: Sequence[Encoding], *, together: bool) -> Iterator[list[int]]:
    """Indices of the texts to run at once.

    A dynamically quantized product takes its range over the whole batch, so an answer would depend on its
    neighbours: such models run text by text (`together` is false). Others run in batches of like length.
    """
    if not together:
        yield from ([i] for i in range(len(encodings)))
        return
    batch: list[int] = []
    lengths = [len(encoding) for encoding in encodings]
    for i in sorted(range(len(lengths)), key=lengths.__getitem__):
        if batch and (len(batch) + 1) * lengths[i] > BATCH_TOKENS:
            yield batch
            batch = []
        batch.append(i)
    if batch:
        yield batch


def feed(encodings: Sequence[Encoding], names: Sequence[str], manifest: Manifest) -> Feeds:
    """The session's inputs, each [batch, longest], padded on the right; made as one array, which is quicker.

    A graph of a fixed length gets that, padded on the left where the manifest's details say so.
    """
    details = manifest.details
    longest = details.get("length") or max(len(encoding) for encoding in encodings)
    left = "pad_left" in details
    padding = {
        "input_ids": manifest.pad_token_id,
        "attention_mask": 0,
        "token_type_ids": manifest.pad_type_id,
    }
    flat: list[int] = []
    for name in names:
        for encoding in encodings:
            values = getattr(encoding, INPUTS[name])
            filler = [padding[name]] * (longest - len(values))
            flat += filler if left else values
            flat += values if left else filler
    table = np.array(flat, np.int64).reshape(len(names), len(encodings), longest)
    return dict(zip(names, table, strict=True))
