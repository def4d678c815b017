"""What readers of word-vector files share: the table that they fill, and how a file is opened."""

import gzip
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]

WORD2VEC_TEXT, WORD2VEC_BINARY = "word2vec text file", "word2vec binary file"

GLOVE, FASTTEXT = "GloVe text file", "fastText .bin file"

CHUNK = 1 << 20

# Numbers as text shrink to a third or so; what grows by more than this is no file of vectors.
MOST_GROWTH = 50

# What reading a gzip'd file that is damaged raises.
BROKEN = (EOFError, OSError, zlib.error)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sizes:
    """What a file says or shows of itself at first sight; `start` is where its rows begin."""

    kind: str
    words: int
    width: int
    start: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Vectors:
    """A file's words and their vectors [words, width], which those of its n-gram buckets follow in one table.

    Words of fastText's files have their n-grams in their vectors already, as it answers them.
    """

    words: tuple[str, ...]
    table: Floats
    shortest: int = 0
    longest: int = 0

    @property
    def buckets(self) -> int:
        return len(self.table) - len(self.words)


def opened(path: Path) -> BinaryIO:
    """The file, unpacked where it is gzip'd."""
    return gzip.open(path) if is_gzip(path) else path.open("rb")  # type: ignore[return-value]


def is_gzip(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(2) == b"\x1f\x8b"


def is_number(text: bytes) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
