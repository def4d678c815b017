"""ARPA files, the text form of n-gram language models with backoff, read strictly and line by line.

After `\\data\\` come the numbers of n-grams of each order, then each order's section: a base-10 log-probability, the
n-gram's words, and the weight of backing off from it. `\\end\\` closes the file. An n-gram is told by the n-gram that
it continues and by its last word, so that both fit one number.
"""

import gzip
import math
import re
import zlib
from array import array
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from build.sources.source import Unusable
from contracts.problems import Code, Problem

START, END = "<s>", "</s>"
UNKNOWN = ("<unk>", "<UNK>")
MOST_ORDER = 6
MOST_MISTAKES = 10
LONGEST_LINE = 1 << 16
# A gzipped ARPA file becomes three to ten times as long; what becomes far longer was made to fill a disk or memory.
MOST_RATIO, FREE_BYTES = 50, 1 << 24
# Below this a few of them added, in nats and 32 bits, would not be finite.
LEAST_LOG10 = -1e30
# What is left for unseen words is shared by their weights; a share 10^10 times as large would leave it nothing.
MOST_BACKOFF = 10
NUMBERED = re.compile(r"ngram\s+(\d+)\s*=\s*(\d+)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """All n-grams of one length, in the order of the file.

    `keys` is, for words alone, their number; otherwise place of the n-gram's beginning in the order below * number of
    words + number of its last word. `log10` and `backoff` are as they stand in the file.
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
    """The model; raises Unusable with every mistake, ten at most."""
    reader = _Reader(path)
    words: dict[str, int] = {}
    orders: list[Order] = []
    for n in reader.counts:
        orders.append(_section(reader, n, words, orders))
    reader.end()
    return Ngrams(words=tuple(words), orders=tuple(orders))


def read_words(path: Path) -> tuple[tuple[str, ...], int]:
    """The words and the highest order, without reading what follows the words; raises Unusable."""
    reader = _Reader(path)
    words: dict[str, int] = {}
    _section(reader, 1, words, [])
    reader.check()
    return tuple(words), len(reader.counts)


def entries(path: Path) -> Iterator[Entry]:
    """Every n-gram, one after the other, of a file that `read` found to be right."""
    reader = _Reader(path)
    for n in reader.counts:
        for _, parts in reader.section(n):
            backoff = float(parts[n + 1]) if len(parts) > n + 1 else 0.0
            yield Entry(words=tuple(parts[1 : n + 1]), log10=float(parts[0]), backoff=backoff)


class _Reader:
    """The lines of a file, with the number of the last one, and what was wrong with them."""

    def __init__(self, path: Path) -> None:
        self.number = 0
        self.problems: list[Problem] = []
        self._lines = self._read(path)
        self.line = ""
        self.counts = self._header()

    def wrong(self, what: str, number: int | None = None) -> None:
        """Note a problem; raises Unusable once there are many."""
        self.problems.append(_problem(number or self.number, what))
        if len(self.problems) >= MOST_MISTAKES:
            more = Problem(code=Code.FILE_DAMAGED, message="and no further: correct these first")
            raise Unusable.listing([*self.problems, more])

    def stop(self, what: str) -> Unusable:
        """Return the problem after which the rest cannot be read, with those before it."""
        return Unusable.listing([*self.problems, _problem(self.number, what)])

    def check(self) -> None:
        if self.problems:
            raise Unusable.listing(self.problems)

    def next(self) -> str:
        """The next line that is not blank."""
        for line in self._lines:
            if line:
                self.line = line
                return line
        raise self.stop("the file ends without \\end\\, so it is cut short; copy it again")

    def _read(self, path: Path) -> Iterator[str]:
        try:
            for raw in _raw(path):
                self.number += 1
                if len(raw) == LONGEST_LINE:
                    raise self.stop(f"longer than {LONGEST_LINE} bytes, as no n-gram is")
                yield raw.decode("utf-8").strip()
        except UnicodeDecodeError as error:
            raise self.stop(f"not UTF-8 text at byte {error.start}; save it as UTF-8") from error
        except (EOFError, OSError, zlib.error) as error:
            raise self.stop(f"cannot be unpacked ({error}); copy it again") from error

    def _header(self) -> Mapping[int, int]:
        """How many n-grams there are of each order."""
        while self.next() != "\\data\\":
            if self.line.startswith("\\"):
                raise self.stop(f"{self.line} before \\data\\")
        counts: dict[int, int] = {}
        while found := NUMBERED.fullmatch(self.next()):
            n, count = int(found[1]), int(found[2])
            if n != len(counts) + 1 or n > MOST_ORDER:
                raise self.stop(f"ngram {n}: orders go from 1 up, one by one, to {MOST_ORDER}")
            counts[n] = count
        if not counts:
            raise self.stop("\\data\\ tells no numbers, such as: ngram 1=5000")
        return counts

    def section(self, n: int) -> Iterator[tuple[int, list[str]]]:
        """The fields of each n-gram of the order and its line; what begins the next section is the line then."""
        if self.line != f"\\{n}-grams:":
            raise self.stop(f"{self.line[:40]!r} where \\{n}-grams: should begin")
        count = 0
        while not self.next().startswith("\\"):
            count += 1
            yield self.number, self.line.split()
        if count != self.counts[n]:
            self.wrong(f"{count} {n}-grams end here, but \\data\\ says {self.counts[n]}")

    def end(self) -> None:
        if self.line != "\\end\\":
            raise self.stop(f"{self.line[:40]!r} where \\end\\ should be")
        self.check()


def _problem(number: int, message: str) -> Problem:
    return Problem(code=Code.FILE_DAMAGED, where=f"line {number}", message=message)


def _raw(path: Path) -> Iterator[bytes]:
    """The lines; raises OSError for a gzipped file that becomes far longer than such files do."""
    packed = path.suffix == ".gz"
    left = max(FREE_BYTES, path.stat().st_size * MOST_RATIO)
    with gzip.open(path, "rb") if packed else path.open("rb") as file:
        while line := file.readline(LONGEST_LINE):
            left -= len(line)
            if packed and left < 0:
                raise OSError(f"it becomes more than {MOST_RATIO} times as long")
            yield line


def _section(reader: _Reader, n: int, words: dict[str, int], below: list[Order]) -> Order:
    """One order; its words are added to `words` where it is the first, and must be there otherwise."""
    ids, lines = array("q"), array("q")
    log10, backoff = array("d"), array("d")
    highest = n == len(reader.counts)
    whole = True
    for number, parts in reader.section(n):
        values = _values(reader, parts, n, highest)
        found = _numbers(reader, parts[1 : n + 1], words, n) if values else None
        if values and found:
            ids.extend(found)
            lines.append(number)
            log10.append(values[0])
            backoff.append(values[1])
        else:
            whole = False
    if not whole:  # what continues an n-gram that could not be read is no mistake of its own
        reader.check()
    if n == 1:
        _check_marks(reader, words)
        keys = np.arange(len(words), dtype=np.int64)
        reader.check()
    else:
        table = np.array(ids, np.int64).reshape(-1, n)
        keys = _keys(reader, table, np.array(lines), below, len(words))
    return Order(keys=keys, log10=np.array(log10), backoff=np.array(backoff))


def _values(reader: _Reader, parts: list[str], n: int, highest: bool) -> tuple[float, float] | None:
    """The log-probability and the backoff of an n-gram; None where they were wrong."""
    most = n + 1 if highest else n + 2
    if not n + 1 <= len(parts) <= most:
        form = f"a log-probability and {n} words" + ", then a backoff or nothing" * (not highest)
        reader.wrong(f"{len(parts)} fields, where a {n}-gram has {form}")
        return None
    try:
        log10 = float(parts[0])
        backoff = float(parts[n + 1]) if len(parts) > n + 1 else 0.0
    except ValueError as error:
        reader.wrong(f"{error}")
        return None
    if wrong := _out_of_range(log10, backoff):
        reader.wrong(wrong)
        return None
    return log10, backoff


def _out_of_range(log10: float, backoff: float) -> str:
    """What is wrong with numbers that no probability has; empty where nothing is."""
    if not math.isfinite(log10) or not math.isfinite(backoff):
        return "a number that is not finite; write -99 for what cannot be"
    if min(log10, backoff) < LEAST_LOG10:
        return f"{min(log10, backoff):g} is not finite in 32 bits; write -99 for what cannot be"
    if log10 > 0:
        return f"log-probability {log10:g} is above 0"
    if backoff > MOST_BACKOFF:
        return f"backoff {backoff:g} is above {MOST_BACKOFF}, so probabilities would be above 1; train it again"
    return ""


def _numbers(reader: _Reader, parts: list[str], words: dict[str, int], n: int) -> list[int] | None:
    if n == 1:
        if parts[0] in words:
            reader.wrong(f"the word {parts[0]!r} stands twice")
            return None
        words[parts[0]] = len(words)
    try:
        return [words[word] for word in parts]
    except KeyError as error:
        reader.wrong(f"{error} is not among the 1-grams")
        return None


def _check_marks(reader: _Reader, words: Mapping[str, int]) -> None:
    for mark in (START, END):
        if mark not in words:
            reader.wrong(
                f"no {mark} among the 1-grams that end here; models of whole texts have it"
            )
    if not set(UNKNOWN) & set(words):
        reader.wrong(
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
    """The key of each n-gram, after its beginning was found among the n-grams of the order below."""
    place = table[:, 0]
    for n, order in enumerate(below[1:], start=2):
        found = find(order.keys, place * words + table[:, n - 1])
        for i in np.flatnonzero((found < 0) & (place >= 0))[:MOST_MISTAKES]:
            reader.wrong(f"its first {n} words are no {n}-gram of the file", int(lines[i]))
        place = np.where(place < 0, -1, found)
    keys = place * words + table[:, -1]
    ordered = np.argsort(keys, kind="stable")
    twice = (np.diff(keys[ordered]) == 0) & (place[ordered][1:] >= 0)
    for i in ordered[1:][twice][:MOST_MISTAKES]:
        reader.wrong("the same n-gram as in a line before", int(lines[i]))
    return keys


def find(keys: NDArray[np.int64], wanted: NDArray[np.int64]) -> NDArray[np.int64]:
    """Where each wanted key stands; -1 where it does not."""
    if not len(keys):
        return np.full(len(wanted), -1, np.int64)
    ordered = np.argsort(keys, kind="stable")
    at = np.minimum(np.searchsorted(keys, wanted, sorter=ordered), len(keys) - 1)
    found: NDArray[np.int64] = np.where(keys[ordered[at]] == wanted, ordered[at], -1)
    return found
