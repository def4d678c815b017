"""The batches of a request shared out among cores: one on each at once, where that takes less time.

Threads that share a batch wait for each other at every operator: two of them took 0.80 of one's time for 16 tokens and
0.63 for 128 (docs/images.md), and two batches at once take half each. Both compute the same bits.
"""

import math
import os
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, TypeVar

from functions.inference.runtimes.open_graph import Forward

if TYPE_CHECKING:
    from concurrent.futures import ThreadPoolExecutor

Result = TypeVar("Result")
# The share of a pass that threads divide among them, by Amdahl's law: the rest of it takes as long with any number.
PARALLEL = 0.6
# Memory that has to be free to open a graph a second time, by the size of its file: 2.8 times were taken at the peak by
# MiniLM-L6 in 8 bits, 1.9 times in full precision, and on OpenVINO 4.2 and 2.3 times.
ROOM = 5


class Lanes(Protocol):
    """The cores that the batches of a request are run on."""

    @property
    def cores(self) -> int:
        """Return the number of batches that may run at once."""
        ...

    def run(
        self, forward: Forward, costs: Sequence[float], work: Callable[[int, Forward], Result]
    ) -> Iterator[tuple[int, Result]]:
        """Yield the number of each batch and what `work` made of it, in any order; costs are in tokens."""
        ...


class OneLane:
    """One batch after the other, each by all threads of the session."""

    cores = 1

    def run(
        self, forward: Forward, costs: Sequence[float], work: Callable[[int, Forward], Result]
    ) -> Iterator[tuple[int, Result]]:
        """Yield the number of each batch and what `work` made of it, in order."""
        for number in range(len(costs)):
            yield number, work(number, forward)


ONE_LANE = OneLane()


class SideBySide:
    """Several cores: batches are shared by all of them, or run at once on a graph of one thread.

    That graph is opened by the first request after those before it have lost as much time without it as opening one
    takes (`opening_s` seconds), if there is `room` for it.
    """

    def __init__(
        self,
        cores: int,
        *,
        open_one_thread: Callable[[], Forward],
        opening_s: float,
        room: Callable[[], bool],
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self.cores = cores
        self._open = open_one_thread
        self._owed_s = opening_s
        self._room = room
        self._clock = clock
        self._one_thread: Forward | None = None
        self._pool: ThreadPoolExecutor | None = None

    def run(
        self, forward: Forward, costs: Sequence[float], work: Callable[[int, Forward], Result]
    ) -> Iterator[tuple[int, Result]]:
        """Yield the number of each batch and what `work` made of it; `forward` is the graph of all threads."""
        # The longest first, so that none is left when the others have ended.
        order = sorted(range(len(costs)), key=costs.__getitem__, reverse=True)
        first, gain = shared_first([costs[number] for number in order], self.cores)
        one_thread = self._opened() if gain else None
        start = self._clock()
        for number in range(len(costs)) if one_thread is None else order[:first]:
            yield number, work(number, forward)
        if one_thread is None:
            self._owed_s -= gain * (self._clock() - start)
        else:
            yield from self._at_once(order[first:], work, one_thread)

    def _at_once(
        self,
        numbers: Sequence[int],
        work: Callable[[int, Forward], Result],
        one_thread: Forward,
    ) -> Iterator[tuple[int, Result]]:
        from concurrent.futures import ThreadPoolExecutor, as_completed

        if self._pool is None:
            self._pool = ThreadPoolExecutor(self.cores)
        running = {self._pool.submit(work, number, one_thread): number for number in numbers}
        try:
            for done in as_completed(running):
                yield running[done], done.result()
        finally:
            # Whoever asked may have left.
            for each in running:
                each.cancel()

    def _opened(self) -> Forward | None:
        """Return the graph of one thread, None while it does not pay or has no room."""
        if self._one_thread is None and self._owed_s <= 0:
            # A function gets no more memory later.
            self._owed_s = math.inf
            if not self._room():
                return None
            try:
                self._one_thread = self._open()
            except Exception:  # the errors of runtimes have no base class of their own
                import logging

                message = "a graph of one thread cannot be opened, so all threads share each batch"
                logging.getLogger("turnout.inference").exception(message)
        return self._one_thread


def lanes_of(
    threads: int, open_at_once: Callable[[int], Forward], *, opening_s: float, size: int
) -> Lanes:
    """Return the cores of a graph that was opened on so many threads; 0 are as many as the machine has.

    `open_at_once` opens it for so many runs at once, each on one thread.
    To open it took `opening_s` seconds, and `size` is that of its files in bytes.
    """
    cores = threads or os.cpu_count() or 1
    if cores == 1:
        return ONE_LANE
    return SideBySide(
        cores,
        open_one_thread=partial(open_at_once, cores),
        opening_s=opening_s,
        room=partial(has_room, size),
    )


def shared_first(costs: Sequence[float], cores: int) -> tuple[int, float]:
    """Return how many of the costs, largest first, all cores share before each takes others of its own.

    The second value is the share of the time that this saves over sharing all of them, 0 where they are all shared.
    """
    every = sum(map(_shared, costs, [cores] * len(costs)))
    best, fewest = len(costs), every
    for first in range(min(cores, len(costs))):
        took = sum(_shared(cost, cores) for cost in costs[:first]) + _longest(costs[first:], cores)
        if took < fewest:
            best, fewest = first, took
    return best, 1 - fewest / every if every else 0.0


def _shared(cost: float, cores: int) -> float:
    return cost * (1 - PARALLEL + PARALLEL / cores)


def _longest(costs: Sequence[float], cores: int) -> float:
    """Return when the last core ends, each taking the next of the costs as soon as it is free."""
    ends = [0.0] * cores
    for cost in costs:
        ends[ends.index(min(ends))] += cost
    return max(ends)


def has_room(size: int, memory: Path = Path("/proc/meminfo")) -> bool:
    """Return whether there is memory to open a graph of that many bytes once more, as Linux counts what is free.

    A Lambda function has a machine of its own, so that this is the function's memory.
    """
    try:
        lines = memory.read_text("utf-8").splitlines()
    except OSError:
        return False
    free = next((int(line.split()[1]) for line in lines if line.startswith("MemAvailable")), 0)
    return free * 1024 >= ROOM * size
