"""Word vectors as text, a word and its numbers a line: GloVe's files, and word2vec's, which begin with the sizes."""

import re
from itertools import islice
from pathlib import Path

import numpy as np

from build.errors import MAX_PROBLEMS
from build.sources.source import Unusable
from build.sources.vectors.table import (
    BROKEN,
    CHUNK,
    GLOVE,
    MOST_GROWTH,
    WORD2VEC_TEXT,
    Floats,
    Sizes,
    Vectors,
    is_number,
    opened,
)
from contracts.problems import Code, Problem


class _Wrong(Exception):
    """One thing that is wrong with a row."""


def look(path: Path, rows: bytes, said: re.Match[bytes] | None) -> Sizes:
    """The sizes, after the lines were counted; raises Unusable."""
    lines, size = _count_lines(path)
    if said is None:
        _check_room(lines, _width(rows), size)
        return Sizes(kind=GLOVE, words=lines, width=_width(rows))
    words, width = int(said[1]), int(said[2])
    if lines - 1 != words:
        raise Unusable(
            Code.FILE_DAMAGED,
            f"its first line says {words} words, but {lines - 1} rows follow; copy it again, or correct that line",
        )
    _check_room(words, width, size)
    found = _width(rows)
    if not width or found != width:
        raise Unusable(
            Code.FILE_DAMAGED,
            f"its first line says {width} numbers a word, but line 2 has {found}; correct that line",
        )
    return Sizes(kind=WORD2VEC_TEXT, words=words, width=width, start=1)


def _check_room(words: int, width: int, size: int) -> None:
    """Nothing is set aside for what the file cannot hold: a number is a digit and a space at least."""
    if size < 2 * words * width:
        raise Unusable(
            Code.FILE_DAMAGED,
            f"its first row has {width} numbers, but {size} bytes are too few for {words} such rows; correct that row",
        )


def _count_lines(path: Path) -> tuple[int, int]:
    """The lines, also a last one without an end, and the bytes, unpacked."""
    lines, size, last = 0, 0, b"\n"
    limit = MOST_GROWTH * path.stat().st_size
    try:
        with opened(path) as file:
            while chunk := file.read(CHUNK):
                found = chunk.count(b"\n")
                size, lines, last = size + len(chunk), lines + found, chunk[-1:]
                if size > limit:
                    raise Unusable(
                        Code.FILE_DAMAGED,
                        f"unpacks to more than {MOST_GROWTH} times its size; unpack it yourself and look",
                    )
                if not found and len(chunk) == CHUNK:
                    raise Unusable(
                        Code.FORMAT_UNKNOWN,
                        "has a line of more than 1 MB, so it is not a file of word vectors",
                    )
    except BROKEN as error:
        raise Unusable(Code.FILE_DAMAGED, f"cannot be unpacked ({error}); copy it again") from error
    return lines + (last != b"\n"), size


def _width(rows: bytes) -> int:
    """How many numbers end the first row; a word that is a number itself is not one of them."""
    pieces = _pieces(rows.split(b"\n", 1)[0])
    numbers = 0
    for piece in reversed(pieces[1:]):
        if not is_number(piece):
            break
        numbers += 1
    return numbers


def _pieces(line: bytes, most: int = -1) -> list[bytes]:
    return line.rstrip(b" \r\n").rsplit(b" ", most)


def load(path: Path, sizes: Sizes) -> Vectors:
    """Every row; raises Unusable with the first of those that are wrong."""
    table = np.empty((sizes.words, sizes.width), np.float32)
    lines: dict[str, int] = {}
    problems: list[Problem] = []
    with opened(path) as file, np.errstate(over="ignore"):  # what overflows is found as not finite
        for number, line in enumerate(islice(file, sizes.start, None), start=1 + sizes.start):
            try:
                word = _read_row(line, table[len(lines)])
                if word in lines:
                    raise _Wrong(f"{word!r} stands on line {lines[word]} already")
                lines[word] = number
            except _Wrong as wrong:
                message = f"{wrong}; correct it, or leave it out"
                problems.append(
                    Problem(code=Code.FILE_DAMAGED, where=f"line {number}", message=message)
                )
            if len(problems) == MAX_PROBLEMS:
                break
    if problems:
        raise Unusable.listing(problems)
    return Vectors(words=tuple(lines), table=table)


def _read_row(line: bytes, row: Floats) -> str:
    """Put the row's numbers into `row`; its word."""
    width = len(row)
    raw, *numbers = _pieces(line, width)
    try:
        word = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        raise _Wrong(f"its word {raw[:40]!r} is not UTF-8") from error
    count = len(numbers)
    if count < width:
        raise _Wrong(f"{word[:40]!r} has {count} numbers, the first row has {width}")
    if not word:
        raise _Wrong("has no word")
    # Words of some files have spaces in them; then none of their parts behind one is a number.
    if b" " in raw and is_number(raw.rsplit(b" ", 1)[1]):
        raise _Wrong(f"{word[:40]!r} has more than {width} numbers, the first row has {width}")
    try:
        row[:] = np.array(numbers, np.float32)
    except ValueError as error:
        wrong = next(number for number in numbers if not is_number(number))
        raise _Wrong(f"{word[:40]!r} has {wrong[:40]!r} where a number has to be") from error
    return word
