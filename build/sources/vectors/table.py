"""Layout and content of a file of word vectors, whatever its format."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]

WORD2VEC_TEXT, WORD2VEC_BINARY = "word2vec text file", "word2vec binary file"
GLOVE, FASTTEXT = "GloVe text file", "fastText .bin file"


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """Format and sizes of a file by its first bytes.

    `words` is the number that the file claims, 0 if it claims none; `width` is the length of a vector; `start` is the
    place of the rows, in lines for text and in bytes for the rest.
    """

    kind: str
    words: int = 0
    width: int
    start: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Vectors:
    """Words and their vectors [words, width], followed in one table by those of n-gram buckets [buckets, width].

    Vectors of a fastText file's words include those of their n-grams, of `shortest` to `longest` characters.
    """

    words: tuple[str, ...]
    table: Floats
    shortest: int = 0
    longest: int = 0

    @property
    def buckets(self) -> int:
        return len(self.table) - len(self.words)
