"""Files of word vectors as sources, recognised by their content.

word2vec as text (also fastText's .vec) and binary, GloVe's text, which has no first line of sizes, and fastText's .bin.
"""

import codecs
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np

from build.sources import text_file
from build.sources.source import TableSource, Unusable, digest_of
from build.sources.vectors import binary, text
from build.sources.vectors.table import (
    FASTTEXT,
    GLOVE,
    WORD2VEC_BINARY,
    WORD2VEC_TEXT,
    Layout,
    Vectors,
)
from build.tasks.description import TaskDescription
from contracts.problems import Code
from contracts.specs import SourceOptions

LOOKED_FOR = "looked for word2vec as text or binary, GloVe as text, fastText as .vec or .bin"
SUFFIXES = {".vec", ".w2v", ".glove", ".txt", ".bin", ".gz"}
# No size has more digits, and Python refuses to read numbers of thousands of them.
SIZES = re.compile(rb"(\d{1,12}) (\d{1,12}) *\r?\n")
# Bytes by which a file is recognised; rows that are checked at once.
SAMPLE, ROWS = 1 << 16, 1 << 16


def read(
    source: Path, task: TaskDescription, max_tokens: int | None, options: SourceOptions
) -> TableSource:
    """Return the source; raises Unusable. Rows are read in the build: that takes a while."""
    source = _file_of(source) if source.is_dir() else source
    if not source.is_file():
        raise Unusable(
            Code.FILE_MISSING, f"not a file of word vectors; {LOOKED_FOR}, by its path in `source`"
        )
    return TableSource(
        kind=layout_of(source).kind,
        path=source,
        task=task,
        digest=digest_of(None, source),
        weight_bytes=source.stat().st_size,
        max_tokens=1,
    )


def _file_of(folder: Path) -> Path:
    """Return the one file of vectors in a folder, such as one that was downloaded; raises Unusable."""
    files = sorted(path for path in folder.iterdir() if path.suffix in SUFFIXES and path.is_file())
    if len(files) != 1:
        names = ", ".join(path.name for path in files) or "no such file"
        raise Unusable(
            Code.FORMAT_AMBIGUOUS, f"holds {names}; name one file of word vectors as `source`"
        )
    return files[0]


def layout_of(path: Path) -> Layout:
    """Return the layout that the first bytes of a file show; raises Unusable if that is none that is known."""
    if not path.stat().st_size:
        raise Unusable(Code.FILE_DAMAGED, "is empty; copy it again")
    with text_file.opened(path) as file:
        head = file.read(SAMPLE)
    if head.startswith(codecs.BOM_UTF8):
        raise Unusable(
            Code.FORMAT_UNSUPPORTED,
            "begins with a byte order mark, which would be read as a part of its first word; save it as UTF-8 without",
        )
    if text_file.is_gzipped(path) and text.BINARY.search(head):
        raise Unusable(
            Code.FORMAT_UNSUPPORTED,
            "a packed binary file; unpack it with gunzip and name what comes out",
        )
    if head.startswith(binary.MAGIC):
        return binary.fasttext_layout(path, head)
    # Both of word2vec's forms begin with a line of sizes; the rows behind it tell them apart.
    sizes = SIZES.match(head)
    rows = head[sizes.end() :] if sizes else head
    if text.is_text(rows):
        return text.text_layout(rows, sizes)
    if sizes:
        return binary.word2vec_layout(path, sizes)
    raise Unusable(
        Code.FORMAT_UNKNOWN,
        f"neither numbers as text nor a binary file that is known; {LOOKED_FOR}",
    )


def load(path: Path) -> Vectors:
    """Return all words and vectors of a file; raises Unusable with every problem."""
    loaders: dict[str, Callable[[Path, Layout], Vectors]] = {
        WORD2VEC_TEXT: text.load,
        GLOVE: text.load,
        WORD2VEC_BINARY: binary.load_word2vec,
        FASTTEXT: binary.load_fasttext,
    }
    layout = layout_of(path)
    vectors = loaders[layout.kind](path, layout)
    _check_finite(vectors)
    return vectors


def _check_finite(vectors: Vectors) -> None:
    for start in range(0, len(vectors.table), ROWS):
        finite = np.isfinite(vectors.table[start : start + ROWS]).all(axis=1)
        if not finite.all():
            row = start + int(finite.argmin())
            is_word = row < len(vectors.words)
            what = f"word {vectors.words[row]!r}" if is_word else "an n-gram"
            raise Unusable(
                Code.WEIGHTS_NOT_FINITE,
                f"{what} has numbers that are not finite; leave it out, or train it again",
            )
