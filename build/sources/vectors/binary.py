"""Word vectors as bytes: word2vec's binary files, and fastText's own, with the vectors of character n-grams.

word2vec's C tool writes a line of sizes, then each word, a space, its float32s and a line end, which some tools leave
out. fastText's format is what its `FastText::saveModel` writes, version 11 or 12: arguments, dictionary, matrices.
"""

import mmap
import re
import struct
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from build.sources.source import Unusable
from build.sources.vectors.table import FASTTEXT, WORD2VEC_BINARY, Floats, Sizes, Vectors
from contracts.problems import Code
from functions.inference.subwords import buckets_of

MAGIC = struct.pack("<i", 793_712_314)
ARGUMENTS, DICTIONARY, ENTRY, MATRIX = map(struct.Struct, ("<4x13id", "<iiiqq", "<qb", "<?qq"))
VERSIONS = (11, 12)
# The word for the end of a text, which fastText takes whole.
END = "</s>"
# No word of a file is longer, so that one without separators is not searched to its end.
MAX_WORD_BYTES = 1 << 16
CUT = "is cut short at word {} of {}; copy it again"
QUANTIZED = (
    "a quantized fastText file (.ftz), which cannot be built; name the .bin that it was made from"
)


def look_word2vec(path: Path, said: re.Match[bytes]) -> Sizes:
    words, width = int(said[1]), int(said[2])
    _check_sizes(path, words, width)
    return Sizes(kind=WORD2VEC_BINARY, words=words, width=width, start=said.end())


def look_fasttext(path: Path, head: bytes) -> Sizes:
    if len(head) < ARGUMENTS.size + DICTIONARY.size:
        raise Unusable(Code.FILE_DAMAGED, "is cut short within its first bytes; copy it again")
    version, width = ARGUMENTS.unpack_from(head)[:2]
    words = DICTIONARY.unpack_from(head, ARGUMENTS.size)[1]
    if version not in VERSIONS:
        raise Unusable(
            Code.FORMAT_UNSUPPORTED,
            f"is of fastText's version {version}; known are 11 and 12, so save it by a current release",
        )
    if path.suffix == ".ftz":
        raise Unusable(Code.FORMAT_UNSUPPORTED, QUANTIZED)
    _check_sizes(path, words, width)
    return Sizes(kind=FASTTEXT, words=words, width=width, start=ARGUMENTS.size)


def _check_sizes(path: Path, words: int, width: int) -> None:
    """Nothing is set aside for what the file cannot hold."""
    size = path.stat().st_size
    if words < 1 or width < 1:
        raise Unusable(
            Code.FILE_DAMAGED, f"says that it has {words} words of {width} numbers; copy it again"
        )
    if size < 4 * words * width:
        raise Unusable(
            Code.FILE_DAMAGED,
            f"says that it has {words} words of {width} numbers, but is {size} bytes; copy it again",
        )


def load_word2vec(path: Path, sizes: Sizes) -> Vectors:
    table = np.empty((sizes.words, sizes.width), np.float32)
    words: dict[str, None] = {}
    row_bytes = 4 * sizes.width
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        place = sizes.start
        for i in range(sizes.words):
            if data[place : place + 1] == b"\n":
                place += 1
            end = data.find(b" ", place, place + MAX_WORD_BYTES)
            if end < 0 or end + 1 + row_bytes > len(data):
                raise Unusable(Code.FILE_DAMAGED, CUT.format(i + 1, sizes.words))
            _add(words, data[place:end])
            place = end + 1 + row_bytes
            table[i] = np.frombuffer(data[end + 1 : place], "<f4")
        if data[place : place + 2].strip(b"\r\n") or len(data) > place + 2:
            raise Unusable(
                Code.FILE_DAMAGED,
                f"goes on after its {sizes.words} words; correct its first line, or copy it again",
            )
    return Vectors(words=tuple(words), table=table)


def _add(words: dict[str, None], raw: bytes) -> None:
    """One more word; raises Unusable for one that cannot be."""
    where = f"word {len(words) + 1}"
    try:
        word = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        raise Unusable(
            Code.FILE_DAMAGED, f"{where}, {raw[:40]!r}, is not UTF-8; save the file as UTF-8"
        ) from error
    if not word or "\n" in word:
        raise Unusable(
            Code.FILE_DAMAGED,
            f"{where}, {word[:40]!r}, is empty or has a line end; copy the file again",
        )
    if word in words:
        raise Unusable(
            Code.FILE_DAMAGED, f"{where}, {word!r}, stands in the file twice; leave one of them out"
        )
    words[word] = None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Dictionary:
    words: tuple[str, ...]
    end: int


def load_fasttext(path: Path, sizes: Sizes) -> Vectors:
    """Words with their n-grams in them, and the buckets of n-grams that words not seen are made of."""
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        *_, buckets, shortest, longest, _, _ = ARGUMENTS.unpack_from(data)
        found = _dictionary(data)
        if found.end + MATRIX.size > len(data):
            raise Unusable(Code.FILE_DAMAGED, CUT.format(sizes.words, sizes.words))
        quantized, rows, width = MATRIX.unpack_from(data, found.end)
        if quantized:
            raise Unusable(Code.FORMAT_UNSUPPORTED, QUANTIZED)
        if (rows, width) != (sizes.words + buckets, sizes.width):
            raise Unusable(
                Code.FILE_DAMAGED,
                f"holds {rows} vectors of {width} numbers, but says {sizes.words} words, {buckets} buckets "
                f"and {sizes.width} numbers; copy it again",
            )
        start = found.end + MATRIX.size
        if start + 4 * rows * width > len(data):
            raise Unusable(Code.FILE_DAMAGED, "is cut short within its vectors; copy it again")
    table = np.fromfile(path, "<f4", count=rows * width, offset=start).reshape(rows, width)
    if not longest:  # trained without n-grams of characters
        table, buckets = table[: sizes.words], 0
    if buckets:
        _add_ngrams(found.words, table, shortest, longest)
    return Vectors(words=found.words, table=table, shortest=shortest, longest=longest)


def _dictionary(data: mmap.mmap) -> _Dictionary:
    size, count, labels, _, pruned = DICTIONARY.unpack_from(data, ARGUMENTS.size)
    if labels or size != count:
        raise Unusable(
            Code.FORMAT_UNSUPPORTED,
            f"a fastText classifier of {labels} labels; only its unsupervised models are word vectors",
        )
    if pruned > 0:
        raise Unusable(Code.FORMAT_UNSUPPORTED, QUANTIZED)
    words: dict[str, None] = {}
    place = ARGUMENTS.size + DICTIONARY.size
    for i in range(count):  # the word, a zero byte, how often it was seen, what it is
        end = data.find(b"\0", place, place + MAX_WORD_BYTES)
        if end < 0 or end + 1 + ENTRY.size > len(data):
            raise Unusable(Code.FILE_DAMAGED, CUT.format(i + 1, count))
        _add(words, data[place:end])
        place = end + 1 + ENTRY.size
    return _Dictionary(words=tuple(words), end=place)


def _add_ngrams(words: tuple[str, ...], table: Floats, shortest: int, longest: int) -> None:
    """Make of each word's own vector the mean of it and of its n-grams', in place, as fastText answers it."""
    own, ngrams = table[: len(words)], table[len(words) :]
    for row, word in zip(own, words, strict=True):
        buckets = [] if word == END else buckets_of(word, shortest, longest, len(ngrams))
        row += ngrams[buckets].sum(axis=0)
        row /= 1 + len(buckets)
