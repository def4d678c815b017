"""Word vectors in binary form: word2vec's files, and fastText's, with the vectors of character n-grams.

word2vec's C tool writes a line of sizes, then each word, a space, its float32s and a line end, which some tools leave
out. fastText's format is that of its `FastText::saveModel`, version 11 or 12: arguments, dictionary, matrices.
"""

import mmap
import re
import struct
from pathlib import Path

import numpy as np

from build.sources.source import Unusable
from build.sources.vectors.table import FASTTEXT, WORD2VEC_BINARY, Floats, Layout, Vectors
from contracts.problems import Code
from functions.inference.words.character_ngrams import buckets_of

MAGIC = struct.pack("<i", 793_712_314)
# Arguments: version, dim, ws, epoch, minCount, neg, wordNgrams, loss, model, bucket, minn, maxn, lrUpdateRate, t.
# Dictionary: entries, words, labels, tokens, pruned. Entry: count, type. Matrix: quantized, rows, columns.
ARGUMENTS, DICTIONARY, ENTRY, MATRIX = map(struct.Struct, ("<4x13id", "<iiiqq", "<qb", "<?qq"))
VERSIONS = (11, 12)
# The word for the end of a text, of which fastText makes no n-grams.
END = "</s>"
# Bounds the search for a word's end, and the n-grams of a word: fastText's default is 6 characters at most.
MAX_WORD_BYTES, MAX_NGRAM = 1 << 16, 64
CUT = "is cut short at word {} of {}; copy it again"
QUANTIZED = (
    "a quantized fastText file (.ftz), which cannot be built; name the .bin that it was made from"
)


def word2vec_layout(path: Path, sizes: re.Match[bytes]) -> Layout:
    """Return the layout by the sizes in the first line; raises Unusable if the file cannot hold as much."""
    words, width = int(sizes[1]), int(sizes[2])
    _check_sizes(path, words, width)
    return Layout(kind=WORD2VEC_BINARY, words=words, width=width, start=sizes.end())


def fasttext_layout(path: Path, head: bytes) -> Layout:
    """Return the layout by a fastText file's first bytes; raises Unusable if it is of another version or quantized."""
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
    return Layout(kind=FASTTEXT, words=words, width=width, start=ARGUMENTS.size)


def _check_sizes(path: Path, words: int, width: int) -> None:
    """Raise Unusable, before anything is allocated, for sizes that the file cannot hold."""
    sizes = f"has {words} words of {width} numbers by its first bytes"
    if words < 1 or width < 1:
        raise Unusable(Code.FILE_DAMAGED, f"{sizes}; copy it again")
    if (size := path.stat().st_size) < 4 * words * width:
        raise Unusable(Code.FILE_DAMAGED, f"{sizes}, but is {size} bytes; copy it again")


def load_word2vec(path: Path, layout: Layout) -> Vectors:
    """Return words and vectors of word2vec's binary form; raises Unusable."""
    table = np.empty((layout.words, layout.width), np.float32)
    words: dict[str, None] = {}
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        place = layout.start
        for row in table:
            if data[place : place + 1] == b"\n":  # behind the row before; some tools write none
                place += 1
            start = _add_word(words, data, place, b" ", row.nbytes, layout.words)
            place = start + row.nbytes
            row[:] = np.frombuffer(data[start:place], "<f4")
        if data[place : place + 2].strip(b"\r\n") or len(data) > place + 2:
            raise Unusable(
                Code.FILE_DAMAGED,
                f"goes on after its {layout.words} words; correct its first line, or copy it again",
            )
    return Vectors(words=tuple(words), table=table)


def _add_word(
    words: dict[str, None], data: mmap.mmap, place: int, end: bytes, size: int, count: int
) -> int:
    """Add the word that begins at the place; return the place behind its end, where `size` bytes belong to it."""
    stop = data.find(end, place, place + MAX_WORD_BYTES)
    if stop < 0 or stop + 1 + size > len(data):
        raise Unusable(Code.FILE_DAMAGED, CUT.format(len(words) + 1, count))
    _check_word(words, data[place:stop])
    words[data[place:stop].decode()] = None
    return stop + 1


def _check_word(words: dict[str, None], raw: bytes) -> None:
    """Raise Unusable for a word that is not UTF-8, is empty or stands in the file already."""
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


def load_fasttext(path: Path, layout: Layout) -> Vectors:
    """Return words, with their n-grams in their vectors, and the buckets of n-grams; raises Unusable."""
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        *_, buckets, shortest, longest, _, _ = ARGUMENTS.unpack_from(data)
        words, end = _dictionary(data)
        if end + MATRIX.size > len(data):
            raise Unusable(Code.FILE_DAMAGED, CUT.format(layout.words, layout.words))
        quantized, rows, width = MATRIX.unpack_from(data, end)
        if quantized:
            raise Unusable(Code.FORMAT_UNSUPPORTED, QUANTIZED)
        claimed = (layout.words + buckets, layout.width)
        if (rows, width) != claimed or buckets < 0 or not 0 <= longest <= MAX_NGRAM:
            raise Unusable(
                Code.FILE_DAMAGED,
                f"holds {rows} vectors of {width} numbers, but has {layout.words} words, {buckets} buckets, n-grams of "
                f"up to {longest} characters and {layout.width} numbers by its first bytes; copy it again",
            )
        start = end + MATRIX.size
        if start + 4 * rows * width > len(data):
            raise Unusable(Code.FILE_DAMAGED, "is cut short within its vectors; copy it again")
    table = np.fromfile(path, "<f4", count=rows * width, offset=start).reshape(rows, width)
    if not longest:  # trained without n-grams of characters
        table, buckets = table[: layout.words], 0
    if buckets:
        _add_ngrams(words, table, shortest, longest)
    return Vectors(words=words, table=table, shortest=shortest, longest=longest)


def _dictionary(data: mmap.mmap) -> tuple[tuple[str, ...], int]:
    """Return the words and the place behind the last of them; raises Unusable."""
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
    for _ in range(count):  # a word, a zero byte, its frequency, its type
        place = _add_word(words, data, place, b"\0", ENTRY.size, count) + ENTRY.size
    return tuple(words), place


def _add_ngrams(words: tuple[str, ...], table: Floats, shortest: int, longest: int) -> None:
    """Replace each word's own vector by the mean of it and those of its n-grams, in place, as fastText computes it."""
    own, ngrams = table[: len(words)], table[len(words) :]
    for row, word in zip(own, words, strict=True):
        buckets = [] if word == END else buckets_of(word, shortest, longest, len(ngrams))
        row += ngrams[buckets].sum(axis=0)
        row /= 1 + len(buckets)
