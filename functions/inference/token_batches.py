"""Batches of token ids for encoders: texts are tokenized, truncated, and padded no more than needed.

Prompts are truncated in `generation.py`, texts for an encoder-decoder in `seq2seq.py`; a text to score is never
truncated (`scoring.py`).
"""

import math
from collections.abc import Iterator, Mapping, Sequence
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
# What a forward pass costs besides its tokens, in tokens: 3.7 ms where a token takes 0.33 ms (BERT-base in full
# precision, AMD EPYC, 2026-11-26). A GPU's pass costs more of its tokens, which the container measures at its start.
PASS_TOKENS = 12
# A batch is divided for the sake of other cores down to so many times what a pass costs, 6 % of it then.
PASSES = 16
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


def batches(
    encodings: Sequence[Encoding],
    *,
    together: bool,
    pass_tokens: int = PASS_TOKENS,
    cores: int = 1,
) -> list[list[int]]:
    """Return the indices of the texts of each batch.

    Dynamic quantization takes the range of activations over the whole batch, so an answer would depend on its
    neighbours: such models run text by text (`together` is false). Others run in batches of similar lengths, whose
    padding costs no more than a pass of its own would, which is that of `pass_tokens`; where so many `cores` may each
    run one, they are small enough to be shared out.
    """
    if not together:
        return [[i] for i in range(len(encodings))]
    lengths = [len(encoding) for encoding in encodings]
    found = list(_of_like_lengths(lengths, BATCH_TOKENS // cores, pass_tokens))
    return found if cores == 1 else list(_shared_out(found, lengths, cores, pass_tokens))


def _of_like_lengths(
    lengths: Sequence[int], most_tokens: int, pass_tokens: int
) -> Iterator[list[int]]:
    """Yield the indices of each batch.

    On the lengths of five data sets the padding and the passes cost 0 to 2.4 % more than in the best batches of all,
    which dynamic programming finds.
    """
    batch: list[int] = []
    tokens = 0
    # Sorted by length, so the text that is added is the longest of its batch, to which the others are padded.
    for i in sorted(range(len(lengths)), key=lengths.__getitem__):
        tokens += lengths[i]
        padded = (len(batch) + 1) * lengths[i]
        if batch and (padded > most_tokens or padded - tokens > pass_tokens):
            yield batch
            batch, tokens = [], lengths[i]
        batch.append(i)
    if batch:
        yield batch


def _shared_out(
    found: Sequence[list[int]], lengths: Sequence[int], cores: int, pass_tokens: int
) -> Iterator[list[int]]:
    """Yield the batches, the large ones in equal parts: two for each core if a part is worth its pass."""
    sizes = [len(batch) * lengths[batch[-1]] for batch in found]
    # A text may have no tokens, and a pass may cost none.
    most = max(sum(sizes) / (2 * cores), PASSES * pass_tokens, 1)
    for batch, size in zip(found, sizes, strict=True):
        step = math.ceil(len(batch) / max(math.ceil(size / most), 1))
        yield from (batch[i : i + step] for i in range(0, len(batch), step))


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
