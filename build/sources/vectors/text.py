"""Word vectors as text, a word and its numbers a line: GloVe's files, and word2vec's, which begin with the sizes."""

import re
from array import array
from itertools import takewhile
from pathlib import Path

import numpy as np

from build.errors import MAX_PROBLEMS
from build.sources import text_file
from build.sources.source import Unusable
from build.sources.vectors.table import GLOVE, WORD2VEC_TEXT, Floats, Layout, Vectors
from contracts.problems import Code, Problem

# A row of some 50,000 numbers; the widest vectors in use have 4,096.
MAX_LINE_BYTES = 1 << 20
# Bytes that no text has; 64 KB of floats always have some.
BINARY = re.compile(rb"[\x00-\x08\x0e-\x1f]")


class _RowProblem(Exception):
    """A problem with one row."""


def is_text(rows: bytes) -> bool:
    """Return whether rows are text: no byte that only binary files have, and a number behind the first word."""
    return not BINARY.search(rows) and any(map(_is_number, rows.split(b"\n", 1)[0].split(b" ")[1:]))


def text_layout(rows: bytes, sizes: re.Match[bytes] | None) -> Layout:
    """Return the layout by the first rows, and by the first line if that has sizes; raises Unusable."""
    width = _width(rows)
    if sizes is None:
        return Layout(kind=GLOVE, width=width)
    claimed = int(sizes[2])
    if width != claimed:
        raise Unusable(
            Code.FILE_DAMAGED,
            f"its first line says {claimed} numbers a word, but line 2 has {width}; correct that line",
        )
    return Layout(kind=WORD2VEC_TEXT, words=int(sizes[1]), width=width, start=1)


def _width(rows: bytes) -> int:
    """Return how many numbers end the first row; a word that is a number itself is not one of them."""
    first = fields(rows.split(b"\n", 1)[0])
    return sum(1 for _ in takewhile(_is_number, reversed(first[1:])))


def fields(line: bytes, numbers: int = -1) -> list[bytes]:
    """Return the word and that many numbers; split from the end, since words of some files have spaces in them."""
    return line.rstrip(b" \r\n").rsplit(b" ", numbers)


def _is_number(field: bytes) -> bool:
    try:
        float(field)
    except ValueError:
        return False
    return True


def load(path: Path, layout: Layout) -> Vectors:
    """Return every row; raises Unusable with the first problems, of a row each.

    The table grows with the rows that are read, so that a claimed size reserves nothing.
    """
    table = array("f")
    lines: dict[str, int] = {}
    problems: list[Problem] = []
    number = 0
    for number, line in text_file.lines(path, MAX_LINE_BYTES):
        try:
            if number > layout.start:
                word, row = _row(line, layout.width)
                if word in lines:
                    raise _RowProblem(f"{word!r} stands on line {lines[word]} already")
                lines[word] = number
                table.frombytes(row.tobytes())
        except _RowProblem as problem:
            problems.append(_problem(number, f"{problem}; correct it, or leave it out"))
            if len(problems) == MAX_PROBLEMS:
                raise Unusable.listing(problems) from problem
    _check_count(layout, number - layout.start)
    if problems:
        raise Unusable.listing(problems)
    return Vectors(words=tuple(lines), table=np.frombuffer(table, "f4").reshape(-1, layout.width))


def _check_count(layout: Layout, rows: int) -> None:
    """Raise Unusable if the file claims another number of rows; that explains problems of rows, if there are any."""
    if layout.kind == WORD2VEC_TEXT and rows != layout.words:
        raise Unusable(
            Code.FILE_DAMAGED,
            f"its first line says {layout.words} words, but {rows} rows follow; copy it again, or correct that line",
        )


def _problem(number: int, message: str) -> Problem:
    return Problem(code=Code.FILE_DAMAGED, where=f"line {number}", message=message)


def _row(line: bytes, width: int) -> tuple[str, Floats]:
    """Return the word and the numbers of a row; raises _RowProblem."""
    raw, *numbers = fields(line, width)
    try:
        word = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        raise _RowProblem(f"its word {raw[:40]!r} is not UTF-8") from error
    if len(numbers) < width:
        raise _RowProblem(f"{word[:40]!r} has {len(numbers)} numbers, the first row has {width}")
    if not word:
        raise _RowProblem("has no word")
    # No part of a word behind a space is a number, so this is one number too many.
    if b" " in raw and _is_number(raw.rsplit(b" ", 1)[1]):
        raise _RowProblem(f"{word[:40]!r} has more than {width} numbers, the first row has {width}")
    try:
        with np.errstate(
            over="ignore"
        ):  # a number beyond float32 becomes infinite, and is reported as that
            return word, np.array(numbers, np.float32)
    except ValueError as error:
        field = next(number for number in numbers if not _is_number(number))
        raise _RowProblem(f"{word[:40]!r} has {field[:40]!r} where a number has to be") from error
