"""ARPA files, the text form of n-gram language models with backoff, read strictly and line by line.

After `\\data\\` come the numbers of n-grams of each order, then each order's section: a base-10 log-probability, the
n-gram's words, and its backoff weight. `\\end\\` closes the file. An n-gram is identified by the n-gram that it
continues and by its last word, so that both fit one integer.
"""

import math
import re
from array import array
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from build.errors import MAX_PROBLEMS
from build.sources import text_file
from build.sources.source import Unusable
from contracts.problems import Code, Problem

START, END = "<s>", "</s>"
UNKNOWN = ("<unk>", "<UNK>")
# KenLM's default maximum too.
MAX_ORDER = 6
MAX_LINE_BYTES = 1 << 16
# A text adds several of them up, in nats and float32, and the sum has to stay finite.
MIN_LOG10 = -1e30
# Backoff weights share out what is left for unseen words; a weight of 10^10 could leave no probability for them.
MAX_BACKOFF = 10
COUNT = re.compile(r"ngram\s+(\d+)\s*=\s*(\d+)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """All n-grams of one length, in the order of the file.

    A key is, for words alone, their number; otherwise the place of the n-gram's beginning in the order below * number
    of words + number of its last word. `log10` and `backoff` are as in the file.
    """

    keys: NDArray[np.int64]
    log10: NDArray[np.float64]
    backoff: NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Ngrams:
    """A whole model: its words by their numbers, and its orders from 1 up."""

    words: tuple[str, ...]
    orders: tuple[Order, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One n-gram of a file."""

    words: tuple[str, ...]
    log10: float
    backoff: float


def read(path: Path) -> Ngrams:
    """Return the model; raises Unusable with every problem, ten at most."""
    reader = _Reader(path)
    words: dict[str, int] = {}
    orders: list[Order] = []
    for n in reader.counts:
        orders.append(_section(reader, n, words, orders))
    reader.end()
    return Ngrams(words=tuple(words), orders=tuple(orders))


def read_words(path: Path) -> tuple[tuple[str, ...], int]:
    """Return the words and the highest order without reading any further; raises Unusable."""
    reader = _Reader(path)
    words: dict[str, int] = {}
    _section(reader, 1, words, [])
    reader.raise_problems()
    return tuple(words), len(reader.counts)


def entries(path: Path) -> Iterator[Entry]:
    """Yield every n-gram of a file that `read` accepts."""
    reader = _Reader(path)
    for n in reader.counts:
        for _, fields in reader.section(n):
            backoff = float(fields[n + 1]) if len(fields) > n + 1 else 0.0
            yield Entry(words=tuple(fields[1 : n + 1]), log10=float(fields[0]), backoff=backoff)


class _LineProblem(Exception):
    """A problem with one n-gram; those on other lines can still be found."""


class _Reader:
    """Lines of a file, one after the other, and the problems with them."""

    def __init__(self, path: Path) -> None:
        self.number = 0
        self.problems: list[Problem] = []
        self._lines = self._decoded(path)
        self.line = ""
        self.counts = self._header()

    def add(self, message: str, number: int | None = None) -> None:
        """Add a problem with a line, the last one read if no number is given; raises Unusable once there are many."""
        self.problems.append(_problem(number or self.number, message))
        if len(self.problems) >= MAX_PROBLEMS:
            more = Problem(code=Code.FILE_DAMAGED, message="and no further: correct these first")
            raise Unusable.listing([*self.problems, more])

    def fatal(self, message: str) -> Unusable:
        """Return an error for a problem after which nothing more can be read, with all before it."""
        return Unusable.listing([*self.problems, _problem(self.number, message)])

    def raise_problems(self) -> None:
        if self.problems:
            raise Unusable.listing(self.problems)

    def next(self) -> str:
        """Return the next line that is not blank."""
        for line in self._lines:
            if line:
                self.line = line
                return line
        raise self.fatal("the file ends without \\end\\, so it is cut short; copy it again")

    def _decoded(self, path: Path) -> Iterator[str]:
        try:
            for number, line in text_file.lines(path, MAX_LINE_BYTES):
                self.number = number
                yield line.decode("utf-8").strip()
        except UnicodeDecodeError as error:
            raise self.fatal(f"not UTF-8 text at byte {error.start}; save it as UTF-8") from error
        except Unusable as error:
            raise Unusable.listing([*self.problems, *error.problems]) from error

    def _header(self) -> Mapping[int, int]:
        """Return the number of n-grams of each order."""
        while self.next() != "\\data\\":
            if self.line.startswith("\\"):
                raise self.fatal(f"{self.line} before \\data\\")
        counts: dict[int, int] = {}
        while match := COUNT.fullmatch(self.next()):
            n, count = int(match[1]), int(match[2])
            if n != len(counts) + 1 or n > MAX_ORDER:
                raise self.fatal(f"ngram {n}: orders go from 1 up, one by one, to {MAX_ORDER}")
            counts[n] = count
        if not counts:
            raise self.fatal("\\data\\ has no counts, such as: ngram 1=5000")
        return counts

    def section(self, n: int) -> Iterator[tuple[int, list[str]]]:
        """Yield the line number and fields of each n-gram of an order, up to the line that begins the next section."""
        if self.line != f"\\{n}-grams:":
            raise self.fatal(f"{self.line[:40]!r} where \\{n}-grams: should begin")
        count = 0
        while not self.next().startswith("\\"):
            count += 1
            yield self.number, self.line.split()
        if count != self.counts[n]:
            self.add(f"{count} {n}-grams end here, but \\data\\ says {self.counts[n]}")

    def end(self) -> None:
        if self.line != "\\end\\":
            raise self.fatal(f"{self.line[:40]!r} where \\end\\ should be")
        self.raise_problems()


def _problem(number: int, message: str) -> Problem:
    return Problem(code=Code.FILE_DAMAGED, where=f"line {number}", message=message)


def _section(reader: _Reader, n: int, words: dict[str, int], below: list[Order]) -> Order:
    """Return one order; its words are added to `words` if it is the first, and have to be there otherwise."""
    # Arrays, as lists of Python's numbers take several times the memory, and a file may have millions of n-grams.
    ids, lines = array("q"), array("q")
    log10, backoff = array("d"), array("d")
    complete = True
    for number, fields in reader.section(n):
        try:
            values = _values(fields, n, n == len(reader.counts))
            ids.extend(_ids(fields[1 : n + 1], words, n))
        except _LineProblem as problem:
            reader.add(str(problem))
            complete = False
            continue
        lines.append(number)
        log10.append(values[0])
        backoff.append(values[1])
    if not complete:  # n-grams that continue one of the unread would be reported as well, without a fault of theirs
        reader.raise_problems()
    if n == 1:
        _check_marks(reader, words)
        keys = np.arange(len(words), dtype=np.int64)
        reader.raise_problems()
    else:
        table = np.array(ids, np.int64).reshape(-1, n)
        keys = _keys(reader, table, np.array(lines), below, len(words))
    return Order(keys=keys, log10=np.array(log10), backoff=np.array(backoff))


def _values(fields: list[str], n: int, highest: bool) -> tuple[float, float]:
    """Return the log-probability and the backoff weight of an n-gram; raises _LineProblem."""
    if not n + 1 <= len(fields) <= n + 2 - highest:
        form = f"a log-probability and {n} words" + ", then a backoff or nothing" * (not highest)
        raise _LineProblem(f"{len(fields)} fields, where a {n}-gram has {form}")
    try:
        log10 = float(fields[0])
        backoff = float(fields[n + 1]) if len(fields) > n + 1 else 0.0
    except ValueError as error:
        raise _LineProblem(str(error)) from error
    _check_range(log10, backoff)
    return log10, backoff


def _check_range(log10: float, backoff: float) -> None:
    """Raise _LineProblem for numbers that no probability has."""
    if not math.isfinite(log10) or not math.isfinite(backoff):
        raise _LineProblem("a number that is not finite; write -99 for a probability of 0")
    if (lower := min(log10, backoff)) < MIN_LOG10:
        raise _LineProblem(f"{lower:g} is not finite in 32 bits; write -99 for a probability of 0")
    if log10 > 0:
        raise _LineProblem(f"log-probability {log10:g} is above 0")
    if backoff > MAX_BACKOFF:
        raise _LineProblem(
            f"backoff {backoff:g} is above {MAX_BACKOFF}, so probabilities would be above 1; train it again"
        )


def _ids(ngram: list[str], words: dict[str, int], n: int) -> list[int]:
    """Return the numbers of an n-gram's words; a word alone gets the next one. Raises _LineProblem."""
    if n == 1:
        if ngram[0] in words:
            raise _LineProblem(f"the word {ngram[0]!r} stands twice")
        words[ngram[0]] = len(words)
    try:
        return [words[word] for word in ngram]
    except KeyError as error:
        raise _LineProblem(f"{error} is not among the 1-grams") from error


def _check_marks(reader: _Reader, words: Mapping[str, int]) -> None:
    for mark in (START, END):
        if mark not in words:
            reader.add(f"no {mark} among the 1-grams that end here; models of whole texts have it")
    if not set(UNKNOWN) & set(words):
        reader.add(
            "no <unk> among the 1-grams that end here, so words that the model does not know have no probability; "
            "add it with a low one, such as -7"
        )


def _keys(
    reader: _Reader,
    table: NDArray[np.int64],
    lines: NDArray[np.int64],
    below: list[Order],
    words: int,
) -> NDArray[np.int64]:
    """Return the key of each n-gram, and add a problem for one whose beginning is unknown or that stands twice."""
    # Word by word, as the key of an n-gram needs the place of its beginning in the order below.
    place = table[:, 0]
    for n, order in enumerate(below[1:], start=2):
        found = find(order.keys, place * words + table[:, n - 1])
        for i in np.flatnonzero((found < 0) & (place >= 0))[:MAX_PROBLEMS]:
            reader.add(f"its first {n} words are no {n}-gram of the file", int(lines[i]))
        place = np.where(place < 0, -1, found)
    keys = place * words + table[:, -1]
    # A stable sort keeps equal keys in the order of their lines, so that the later one is the repetition.
    ordered = np.argsort(keys, kind="stable")
    twice = (np.diff(keys[ordered]) == 0) & (place[ordered][1:] >= 0)
    for i in ordered[1:][twice][:MAX_PROBLEMS]:
        reader.add("the same n-gram as in a line before", int(lines[i]))
    return keys


def find(keys: NDArray[np.int64], wanted: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the place of each wanted key among the keys; -1 for one that is not there."""
    if not len(keys):
        return np.full(len(wanted), -1, np.int64)
    ordered = np.argsort(keys, kind="stable")
    at = np.minimum(np.searchsorted(keys, wanted, sorter=ordered), len(keys) - 1)
    found: NDArray[np.int64] = np.where(keys[ordered[at]] == wanted, ordered[at], -1)
    return found
