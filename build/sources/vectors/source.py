"""Files of word vectors as sources: which kind one is, told from its content, and all that it holds.

word2vec as text (also fastText's .vec) and binary, GloVe's text, which has no first line of sizes, and fastText's .bin.
"""

import codecs
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np

from build.sources.source import TableSource, Unusable, digest_of
from build.sources.vectors.table import (
    BROKEN,
    FASTTEXT,
    GLOVE,
    WORD2VEC_BINARY,
    WORD2VEC_TEXT,
    Sizes,
    Vectors,
    is_gzip,
    is_number,
    opened,
)
from contracts.problems import Code
from contracts.specs import Hints
from contracts.tasks import Task

LOOKED_FOR = "looked for word2vec as text or binary, GloVe as text, fastText as .vec or .bin"
SUFFIXES = {".vec", ".w2v", ".glove", ".txt", ".bin", ".gz"}
SIZES = re.compile(rb"(\d{1,12}) (\d{1,12}) *\r?\n")
# Bytes that no text has; in 64 KB of floats there are always some.
BINARY = re.compile(rb"[\x00-\x08\x0e-\x1f]")
SAMPLE = 1 << 16


def read(source: Path, task: Task, max_tokens: int | None, hints: Hints) -> TableSource:
    """The source, as far as can be told without reading every row; raises Unusable."""
    source = _file_of(source) if source.is_dir() else source
    if not source.is_file():
        raise Unusable(
            Code.FILE_MISSING, f"not a file of word vectors; {LOOKED_FOR}, by its path in `source`"
        )
    return TableSource(
        kind=look(source).kind,
        path=source,
        task=task,
        digest=digest_of(source.parent / "nothing", source),
        weight_bytes=source.stat().st_size,
        max_tokens=1,
    )


def _file_of(folder: Path) -> Path:
    """The one file of vectors in a folder, such as one that was fetched from elsewhere."""
    found = sorted(path for path in folder.iterdir() if path.suffix in SUFFIXES and path.is_file())
    if len(found) != 1:
        names = ", ".join(path.name for path in found) or "no such file"
        raise Unusable(
            Code.FORMAT_AMBIGUOUS, f"holds {names}; name one file of word vectors as `source`"
        )
    return found[0]


def look(path: Path) -> Sizes:
    """The kind and sizes of a file; raises Unusable where they cannot be."""
    from build.sources.vectors import binary, text

    if not path.stat().st_size:
        raise Unusable(Code.FILE_DAMAGED, "is empty; copy it again")
    head = _head(path)
    if head.startswith(codecs.BOM_UTF8):
        raise Unusable(
            Code.FORMAT_UNSUPPORTED,
            "begins with a byte order mark, which would be read as a part of its first word; save it as UTF-8 without",
        )
    if head.startswith(binary.MAGIC):
        return binary.look_fasttext(path, head)
    said = SIZES.match(head)
    rows = head[said.end() :] if said else head
    if said and not _is_text(rows):
        return binary.look_word2vec(path, said)
    if not _is_text(rows):
        raise Unusable(
            Code.FORMAT_UNKNOWN,
            f"neither numbers as text nor a binary file that is known; {LOOKED_FOR}",
        )
    return text.look(path, rows, said)


def _head(path: Path) -> bytes:
    """The first bytes, unpacked; raises Unusable for a packed file that is not text."""
    try:
        with opened(path) as file:
            head = file.read(SAMPLE)
    except BROKEN as error:
        raise Unusable(Code.FILE_DAMAGED, f"cannot be unpacked ({error}); copy it again") from error
    if is_gzip(path) and BINARY.search(head):
        raise Unusable(
            Code.FORMAT_UNSUPPORTED,
            "a packed binary file; unpack it with gunzip and name what comes out",
        )
    return head


def load(path: Path) -> Vectors:
    """All that the file holds; raises Unusable with what is wrong, row by row."""
    from build.sources.vectors import binary, text

    loaders: dict[str, Callable[[Path, Sizes], Vectors]] = {
        WORD2VEC_TEXT: text.load,
        GLOVE: text.load,
        WORD2VEC_BINARY: binary.load_word2vec,
        FASTTEXT: binary.load_fasttext,
    }
    sizes = look(path)
    vectors = loaders[sizes.kind](path, sizes)
    _check_finite(vectors)
    return vectors


def _is_text(rows: bytes) -> bool:
    """Whether rows are text: no byte that only binary files have, and numbers behind the first word."""
    if BINARY.search(rows):
        return False
    return any(map(is_number, rows.split(b"\n", 1)[0].split(b" ")[1:]))


def _check_finite(vectors: Vectors) -> None:
    for start in range(0, len(vectors.table), SAMPLE):
        good = np.isfinite(vectors.table[start : start + SAMPLE]).all(axis=1)
        if not good.all():
            row = start + int(good.argmin())
            named = row < len(vectors.words)
            what = f"word {vectors.words[row]!r}" if named else "an n-gram"
            raise Unusable(
                Code.WEIGHTS_NOT_FINITE,
                f"{what} has numbers that are not finite; leave it out, or train it again",
            )
