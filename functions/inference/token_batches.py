"""Batches of token ids for encoders: texts are tokenized, truncated, and padded no more than needed.

Prompts are truncated in `generation.py`, texts for an encoder-decoder in `seq2seq.py`; a text to score is never
truncated (`scoring.py`).
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from tokenizers import Encoding, Tokenizer

from contracts.http_errors import InvalidInput
from contracts.manifest import Manifest

if TYPE_CHECKING:  # imported for annotations only, which would lengthen a cold start
    from numpy.typing import NDArray

# A session's inputs by name, each [batch, tokens].
Feeds = Mapping[str, "NDArray[np.int64]"]

# Padded tokens in one batch of a full-precision model; bounds the memory of a forward pass.
BATCH_TOKENS = 4096
# The most tokens that two neighbouring windows over a long text share.
MAX_STRIDE = 128
# The inputs that a graph may have, and the attribute of an encoding that holds each.
TYPES = "token_type_ids"
INPUTS = {"input_ids": "ids", "attention_mask": "attention_mask", TYPES: "type_ids"}


def open_tokenizer(
    path: Path, max_tokens: int, *, truncation: str = "longest_first", windows: bool = False
) -> Tokenizer:
    """Open a tokenizer with that truncation strategy; with `windows`, the rest of a text becomes overlapping windows.

    Texts are truncated on the side that the tokenizer's file names, on the right if it names none.
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
    """Return the tokens that two windows share: transformers' default `doc_stride` for question answering."""
    return min(max_tokens // 2, MAX_STRIDE)


def encode(
    tokenizer: Tokenizer,
    texts: Sequence[str | tuple[str, str]],
    *,
    offsets: bool = False,
    special: bool = True,
) -> list[Encoding]:
    """Encode each text or pair; `encode_batch_fast` leaves out the `offsets` of tokens in the text.

    With `special`, the tokenizer adds its own tokens around them. Raise InvalidInput if one text of a pair, which may
    not be truncated, leaves no room for the other.
    """
    method = tokenizer.encode_batch if offsets else tokenizer.encode_batch_fast
    try:
        encodings: list[Encoding] = method(list(texts), add_special_tokens=special)
    except Exception as error:  # tokenizers raise no narrower kind
        raise InvalidInput(
            f"an input cannot be cut to what the model reads ({error}); shorten its first part"
        ) from error
    return encodings


def batches(encodings: Sequence[Encoding], *, together: bool) -> Iterator[list[int]]:
    """Yield the indices of the texts to run at once.

    Dynamic quantization takes the range of activations over the whole batch, so an answer would depend on its
    neighbours: such models run text by text (`together` is false). Others run in batches of similar lengths.
    """
    if not together:
        yield from ([i] for i in range(len(encodings)))
        return
    batch: list[int] = []
    lengths = [len(encoding) for encoding in encodings]
    # Sorted by length, so the text that is added is the longest of its batch, to which the others are padded.
    for i in sorted(range(len(lengths)), key=lengths.__getitem__):
        if batch and (len(batch) + 1) * lengths[i] > BATCH_TOKENS:
            yield batch
            batch = []
        batch.append(i)
    if batch:
        yield batch


def feed(encodings: Sequence[Encoding], names: Sequence[str], manifest: Manifest) -> Feeds:
    """Return the session's inputs, each [batch, longest], padded on the right.

    A graph with a fixed length is padded to it, on the left if the manifest's details say so.
    """
    details = manifest.details
    longest = details.get("length") or max(len(encoding) for encoding in encodings)
    left = "pad_left" in details
    padding = {
        "input_ids": manifest.pad_token_id,
        "attention_mask": 0,
        "token_type_ids": manifest.pad_type_id,
    }
    # One array for all inputs: each call of numpy costs more than the few numbers of a request.
    flat: list[int] = []
    for name in names:
        for encoding in encodings:
            values = getattr(encoding, INPUTS[name])
            # A model that is given no token types sees the first one throughout.
            if name == TYPES and not details.get("token_types", True):
                values = [0] * len(values)
            filler = [padding[name]] * (longest - len(values))
            flat += filler if left else values
            flat += values if left else filler
    table = np.array(flat, np.int64).reshape(len(names), len(encodings), longest)
    return dict(zip(names, table, strict=True))
