"""Token ids for encoders: texts are tokenized, truncated, and padded to the longest of their batch.

Which texts make a batch is decided in `batching/division.py`. Prompts are truncated in `generation.py`, texts for an
encoder-decoder in `seq2seq.py`; a text to score is never truncated (`scoring.py`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from tokenizers import Encoding, Tokenizer

from contracts.http_errors import InvalidInput
from contracts.manifest import Manifest
from contracts.prediction import PredictRequest

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


@dataclass(frozen=True, slots=True, kw_only=True)
class Texts:
    """A request, and what is run for each of its inputs: one or more texts, pairs or windows."""

    request: PredictRequest
    owned: tuple[tuple[Encoding, ...], ...]

    @property
    def tokens(self) -> int:
        """Return the tokens of all texts, without padding."""
        return sum(len(encoding) for own in self.owned for encoding in own)


class Running:
    """The texts of one request while they are run, and their results so far."""

    def __init__(self, texts: Texts) -> None:
        self.texts = texts
        self.encodings = [encoding for own in texts.owned for encoding in own]
        self.results: list[Any] = [None] * len(self.encodings)
        self.left = len(self.encodings)
        self.error: Exception | None = None

    @property
    def done(self) -> bool:
        return self.left == 0 or self.error is not None

    def add(self, i: int, row: Any) -> None:
        """Keep the result of the i-th text; the first error is the request's."""
        self.left -= 1
        if isinstance(row, Exception):
            self.error = self.error or row
        else:
            self.results[i] = row


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


def filled(names: Sequence[str], manifest: Manifest, tokens: int) -> Feeds:
    """Return the session's inputs of a batch of that many tokens: rows as long as the model reads, or one shorter row.

    Models that run text by text get one row; those that fill masks get one mask in each row.
    """
    length = manifest.details.get("length") or min(tokens, manifest.max_tokens)
    shape = (max(1, tokens // length) if manifest.batches else 1, length)
    ids = np.full(shape, manifest.pad_token_id, np.int64)
    ids[:, 0] = manifest.details.get("mask_id", manifest.pad_token_id)
    ones, zeros = np.ones(shape, np.int64), np.zeros(shape, np.int64)
    every = {"input_ids": ids, "attention_mask": ones, TYPES: zeros}
    return {name: every[name] for name in names}
