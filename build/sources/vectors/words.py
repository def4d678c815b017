"""The first words of a file of word vectors, read without its vectors."""

import mmap
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path

from build.sources import text_file
from build.sources.vectors import binary, text
from build.sources.vectors.source import layout_of
from build.sources.vectors.table import (
    FASTTEXT,
    GLOVE,
    WORD2VEC_BINARY,
    WORD2VEC_TEXT,
    Layout,
)


def first_words(path: Path, count: int) -> tuple[str, ...]:
    """Return the first words of a file, `count` at most; raise Unusable for a file in no known layout.

    Words that are no UTF-8 are left out: the build reports them.
    """
    readers: dict[str, Callable[[Path, Layout], Iterator[bytes]]] = {
        WORD2VEC_TEXT: _of_text,
        GLOVE: _of_text,
        WORD2VEC_BINARY: _of_word2vec,
        FASTTEXT: _of_fasttext,
    }
    layout = layout_of(path)
    words = (word.decode("utf-8", "replace") for word in readers[layout.kind](path, layout))
    return tuple(islice((word for word in words if word and "\ufffd" not in word), count))


def _of_text(path: Path, layout: Layout) -> Iterator[bytes]:
    for number, line in text_file.lines(path, text.MAX_LINE_BYTES):
        if number > layout.start:
            yield text.fields(line, layout.width)[0]


def _of_word2vec(path: Path, layout: Layout) -> Iterator[bytes]:
    return _delimited(path, layout.start, b" ", 4 * layout.width, layout.words)


def _of_fasttext(path: Path, layout: Layout) -> Iterator[bytes]:
    start = binary.ARGUMENTS.size + binary.DICTIONARY.size
    return _delimited(path, start, b"\0", binary.ENTRY.size, layout.words)


def _delimited(path: Path, place: int, end: bytes, size: int, count: int) -> Iterator[bytes]:
    """Yield each word up to its end, with `size` bytes of its own behind it."""
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        for _ in range(count):
            stop = data.find(end, place, place + binary.MAX_WORD_BYTES)
            if stop < 0:
                return
            yield data[place:stop].lstrip(b"\n")
            place = stop + 1 + size
