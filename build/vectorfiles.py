"""Files of word vectors as sources: which kind one is, told from its content, and all that it holds.

word2vec as text (also fastText's .vec) and binary, GloVe's text, which has no first line of sizes, and fastText's .bin.
"""

import codecs
import gzip
import re
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from build.source import Source, Unusable, digest_of
from contracts.specs import Hints
from contracts.tasks import Task

Floats = NDArray[np.float32]

WORD2VEC_TEXT, WORD2VEC_BINARY = "word2vec text file", "word2vec binary file"
GLOVE, FASTTEXT = "GloVe text file", "fastText .bin file"
LOOKED_FOR = "looked for word2vec as text or binary, GloVe as text, fastText as .vec or .bin"
SUFFIXES = {".vec", ".w2v", ".glove", ".txt", ".bin", ".gz"}
SIZES = re.compile(rb"(\d{1,12}) (\d{1,12}) *\r?\n")
# Bytes that no text has; in 64 KB of floats there are always some.
BINARY = re.compile(rb"[\x00-\x08\x0e-\x1f]")
SAMPLE = 1 << 16
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


def read(source: Path, task: Task, max_tokens: int | None, hints: Hints) -> Source:
    """The source, as far as can be told without reading every row; raises Unusable."""
    source = _file_of(source) if source.is_dir() else source
    if not source.is_file():
        raise Unusable(f"not a file of word vectors; {LOOKED_FOR}, by its path in `source`")
    sizes = look(source)
    return Source(
        kind=sizes.kind,
        folder=source.parent,
        task=task,
        digest=digest_of(source.parent / "nothing", source),
        tokenizer=Path(),
        file=source,
        weight_bytes=source.stat().st_size,
        hidden=sizes.width,
        max_tokens=1,
    )


def _file_of(folder: Path) -> Path:
    """The one file of vectors in a folder, such as one that was fetched from elsewhere."""
    found = sorted(path for path in folder.iterdir() if path.suffix in SUFFIXES and path.is_file())
    if len(found) != 1:
        names = ", ".join(path.name for path in found) or "no such file"
        raise Unusable(f"holds {names}; name one file of word vectors as `source`")
    return found[0]


def look(path: Path) -> Sizes:
    """The kind and sizes of a file; raises Unusable where they cannot be."""
    from build import vectorbinary, vectortext

    if not path.stat().st_size:
        raise Unusable("is empty; copy it again")
    head = _head(path)
    if head.startswith(codecs.BOM_UTF8):
        raise Unusable(
            "begins with a byte order mark, which would be read as a part of its first word; save it as UTF-8 without"
        )
    if head.startswith(vectorbinary.MAGIC):
        return vectorbinary.look_fasttext(path, head)
    said = SIZES.match(head)
    rows = head[said.end() :] if said else head
    if said and not _is_text(rows):
        return vectorbinary.look_word2vec(path, said)
    if not _is_text(rows):
        raise Unusable(f"neither numbers as text nor a binary file that is known; {LOOKED_FOR}")
    return vectortext.look(path, rows, said)


def _head(path: Path) -> bytes:
    """The first bytes, unpacked; raises Unusable for a packed file that is not text."""
    try:
        with opened(path) as file:
            head = file.read(SAMPLE)
    except BROKEN as error:
        raise Unusable(f"cannot be unpacked ({error}); copy it again") from error
    if _is_packed(path) and BINARY.search(head):
        raise Unusable("a packed binary file; unpack it with gunzip and name what comes out")
    return head


def load(path: Path) -> Vectors:
    """All that the file holds; raises Unusable with what is wrong, row by row."""
    from build import vectorbinary, vectortext

    loaders: dict[str, Callable[[Path, Sizes], Vectors]] = {
        WORD2VEC_TEXT: vectortext.load,
        GLOVE: vectortext.load,
        WORD2VEC_BINARY: vectorbinary.load_word2vec,
        FASTTEXT: vectorbinary.load_fasttext,
    }
    sizes = look(path)
    vectors = loaders[sizes.kind](path, sizes)
    _check_finite(vectors)
    return vectors


def opened(path: Path) -> BinaryIO:
    """The file, unpacked where it is gzip'd."""
    return gzip.open(path) if _is_packed(path) else path.open("rb")  # type: ignore[return-value]


def _is_packed(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(2) == b"\x1f\x8b"


def _is_text(rows: bytes) -> bool:
    """Whether rows are text: no byte that only binary files have, and numbers behind the first word."""
    if BINARY.search(rows):
        return False
    return any(map(is_number, rows.split(b"\n", 1)[0].split(b" ")[1:]))


def is_number(text: bytes) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _check_finite(vectors: Vectors) -> None:
    for start in range(0, len(vectors.table), SAMPLE):
        good = np.isfinite(vectors.table[start : start + SAMPLE]).all(axis=1)
        if not good.all():
            row = start + int(good.argmin())
            named = row < len(vectors.words)
            what = f"word {vectors.words[row]!r}" if named else "an n-gram"
            raise Unusable(
                f"{what} has numbers that are not finite; leave it out, or train it again"
            )
