"""The timing of candidates side by side: each in a process of its own, run in turn, round after round.

Machines are shared and their speed drifts, so only times of one build are compared with each other.
"""

import itertools
import math
import statistics
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from build.proof.worker_client import Workers
from build.workspace.progress import Notify, counted, silent
from contracts.prediction import PredictRequest

# A request that takes longer than LONG_MS is run once a round.
ROUNDS, REPEATS, LONG_MS = 5, 3, 30
# What else a machine does makes a run longer, and never shorter: the time of a request is not the median of its runs.
PERCENTILE = 20
# Shorter times vary on an idle machine as well, and say nothing of its load.
LEAST_TELLING_MS = 1.0
# Rounds of what is reported and decides nothing: lengths that no row is near to, and artefacts that take FAR times as
# long as two that may ship, of which one may yet be rejected on another processor.
ROUNDS_UNRANKED, FAR, AHEAD = 2, 1.5, 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """Milliseconds by the number of tokens of a request (PERCENTILE), to load, and the peak memory in MB.

    A generator's are those of one new token; the time to read the prompt is divided among all of them. `slowdown` is
    the median of the runs as a multiple of that time, the median over the lengths.
    """

    ms: Mapping[int, float]
    load_ms: float
    peak_mb: float
    slowdown: float = 1.0


# By the number of tokens of a request: of each round, the milliseconds of its runs.
Rounds = dict[int, list[list[float]]]

UNTIMED = Timing(ms={}, load_ms=0.0, peak_mb=0.0)


def time_all(
    folders: Sequence[Path],
    requests: Mapping[int, PredictRequest],
    threads: int,
    notify: Notify = silent,
    *,
    rivals: Collection[Path] = (),
    unranked: Collection[int] = (),
    apart: bool = False,
) -> list[Timing]:
    """Return the timing of each artefact, in the order of the folders; `requests` are by their number of tokens.

    Those that are `unranked` are run in fewer rounds, and so are artefacts that are far slower than two of the
    `rivals`, of which the fastest ships. Artefacts that are kept `apart`, which have no room in memory beside each
    other, are loaded anew in each round.
    """
    rounds: list[Rounds] = [{tokens: [] for tokens in requests} for _ in folders]
    units = [dict.fromkeys(requests, 1) for _ in folders]
    peaks = [0.0] * len(folders)
    with Workers() as workers:
        # One after the other, so that each loads undisturbed.
        loads = [math.inf if apart else workers.load(folder, threads) for folder in folders]
        wanted, left = list(requests), list(range(len(folders)))
        for number in counted(range(ROUNDS + 1), notify, "round"):
            if number == ROUNDS_UNRANKED + 1:
                wanted = [n for n in requests if n not in unranked]
                others = [i for i, folder in enumerate(folders) if folder in rivals]
                left = [
                    i
                    for i in left
                    if not far_slower(rounds[i], [rounds[o] for o in others], wanted)
                ]
            for i, tokens in _turns(left, wanted, apart=apart):
                if apart and tokens == wanted[0]:
                    workers.end_all()
                    loads[i] = min(loads[i], workers.load(folders[i], threads))
                before = rounds[i][tokens]
                message = workers.run(folders[i], requests[tokens], repeats=repeats(before))
                before.append(message["ms"])
                units[i][tokens], peaks[i] = message["units"], message["peak_mb"]
    return [timing_of(*one) for one in zip(rounds, units, loads, peaks, strict=True)]


def far_slower(rounds: Rounds, others: Sequence[Rounds], lengths: Sequence[int]) -> bool:
    """Return whether two of the others took far less time at each of the lengths, in each of their rounds.

    Of a round the shortest run counts. The first round, which warms caches, does not count.
    """
    ahead = [
        other
        for other in others
        if all(min(map(min, rounds[n][1:])) > FAR * max(map(min, other[n][1:])) for n in lengths)
    ]
    return len(ahead) >= AHEAD


def _turns(
    artefacts: Sequence[int], lengths: Sequence[int], *, apart: bool
) -> Iterator[tuple[int, int]]:
    """Yield each artefact with each length: side by side, or one artefact after the other."""
    if apart:
        yield from itertools.product(artefacts, lengths)
    else:
        yield from ((i, tokens) for tokens in lengths for i in artefacts)


def repeats(before: Sequence[Sequence[float]]) -> int:
    """Return how often a request is run in a round, by its milliseconds in earlier ones.

    The first round warms caches, for which one run is enough.
    """
    return REPEATS if before and min(before[-1]) < LONG_MS else 1


def timing_of(rounds: Rounds, units: Mapping[int, int], load_ms: float, peak_mb: float) -> Timing:
    """Return the figures of all runs but those of the first round, which warms caches."""
    runs = {n: [ms for one in took[1:] for ms in one] for n, took in rounds.items()}
    times = {n: percentile(of_one) for n, of_one in runs.items()}
    slower = [statistics.median(runs[n]) / ms for n, ms in times.items() if ms >= LEAST_TELLING_MS]
    return Timing(
        ms={n: round(ms / units[n], 4) for n, ms in times.items()},
        load_ms=round(load_ms, 1),
        peak_mb=round(peak_mb, 1),
        slowdown=round(statistics.median(slower), 2) if slower else 1.0,
    )


def percentile(runs: Sequence[float]) -> float:
    """Return the PERCENTILE of two runs or more."""
    return statistics.quantiles(runs, n=100, method="inclusive")[PERCENTILE - 1]
