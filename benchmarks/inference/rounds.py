"""Interleaved rounds of contenders, and the filter of readings on a shared machine.

A kernel of fixed work is run before and after each reading. If the two differ by more than 5 %, something else took or
released a part of the machine meanwhile, and the reading does not count; nor if they took 1.5 times the kernel's 10th
percentile, its undisturbed time. A reading that counts is scaled to the kernel's undisturbed speed, because a machine
that is slower throughout is so for both.
"""

import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

DRIFT, MAX_SLOWDOWN = 0.05, 1.5
# A reading is the median of so many runs in a row that together take about this long.
READING_MS, MAX_REPEATS = 60.0, 30
MIN_KEPT = 3
TRIAL_RUNS = 3
# What takes so many times as long as the fastest contender competes with none: few readings of it do.
SLOW = 2.0
# The figure of a cell: what else a machine does makes readings longer and never shorter, so a median is too long.
PERCENTILE = 30
# After so many times the rounds that were asked for, a machine is too busy for figures.
MOST_ROUNDS = 10

# Runs a contender on a workload, so many times: milliseconds for each repetition.
Run = Callable[[str, str, int], list[float]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """Milliseconds of one contender on one workload, with the kernel's just before and just after."""

    contender: str
    workload: str
    ms: float
    before: float
    after: float


@dataclass(slots=True, kw_only=True)
class Kept:
    """Milliseconds of the readings that count, and the number made, by contender and workload."""

    kernel_ms: float
    ms: dict[tuple[str, str], list[float]] = field(default_factory=dict)
    made: int = 0

    @property
    def count(self) -> int:
        return sum(map(len, self.ms.values()))

    def typical(self, contender: str, workload: str) -> float | None:
        """Return that percentile of the readings that count, None if they are too few."""
        values = self.ms.get((contender, workload), [])
        if len(values) < MIN_KEPT:
            return None
        return statistics.quantiles(values, n=100, method="inclusive")[PERCENTILE - 1]


def measure(
    contenders: Sequence[str],
    workloads: Sequence[str],
    run: Run,
    kernel: Callable[[], float],
    rounds: int,
    report: Callable[[str], None],
    *,
    over: Callable[[], bool] = lambda: False,
) -> list[Reading]:
    """Return readings of every contender on every workload, in rounds whose order rotates by one.

    There are as many rounds as were asked for, or fewer if it is `over`. Further ones are made of what too few readings
    count of; a contender that is SLOW has no others. Raise SystemExit if too few count all the same.
    """
    trial = _trial(contenders, workloads, run)
    repeats = {cell: max(1, min(MAX_REPEATS, round(READING_MS / ms))) for cell, ms in trial.items()}
    fast = _fast(trial)
    readings: list[Reading] = []
    for number in range(rounds * MOST_ROUNDS):
        wanted = too_few(readings, contenders, workloads)
        asked_for = number < rounds and not over()
        if not asked_for and not wanted:
            return readings
        for workload in workloads:
            before = kernel()
            for contender in rotated(contenders, number):
                asked = asked_for and (contender in fast or number < MIN_KEPT)
                if not asked and (contender, workload) not in wanted:
                    continue
                ms = statistics.median(run(contender, workload, repeats[contender, workload]))
                after = kernel()
                readings.append(
                    Reading(
                        contender=contender, workload=workload, ms=ms, before=before, after=after
                    )
                )
                before = after
        left = "" if asked_for else f", for {len(wanted)} cells with too few readings"
        report(f"round {number + 1} of {rounds}{left}")
    if missing := too_few(readings, contenders, workloads):
        raise SystemExit(
            f"the machine is too busy for {len(missing)} cells, such as {min(missing)}"
        )
    return readings


def too_few(
    readings: Sequence[Reading], contenders: Sequence[str], workloads: Sequence[str]
) -> set[tuple[str, str]]:
    """Return the contenders and workloads of which fewer readings count than a figure needs."""
    found = kept(readings).ms if readings else {}
    cells = {(contender, workload) for contender in contenders for workload in workloads}
    return {cell for cell in cells if len(found.get(cell, ())) < MIN_KEPT}


def rotated(names: Sequence[str], number: int) -> tuple[str, ...]:
    """Return the names in the order of a round, each of which begins with the next."""
    turn = number % len(names)
    return (*names[turn:], *names[:turn])


def _trial(
    contenders: Sequence[str], workloads: Sequence[str], run: Run
) -> Mapping[tuple[str, str], float]:
    """Return the milliseconds of a run, which also warms up."""
    # The minimum, because a run that was disturbed would make for too few repeats.
    return {(c, w): min(run(c, w, TRIAL_RUNS)) for c in contenders for w in workloads}


def _fast(trial: Mapping[tuple[str, str], float]) -> set[str]:
    """Return the contenders that are not SLOW."""
    total: dict[str, float] = {}
    for (contender, _), ms in trial.items():
        total[contender] = total.get(contender, 0.0) + ms
    return {name for name, ms in total.items() if ms <= SLOW * min(total.values())}


def kept(readings: Sequence[Reading]) -> Kept:
    kernel_readings = [r.before for r in readings] + [r.after for r in readings]
    kernel = statistics.quantiles(kernel_readings, n=10, method="inclusive")[0]
    found = Kept(kernel_ms=kernel, made=len(readings))
    for reading in readings:
        nearby = (reading.before + reading.after) / 2
        if abs(reading.before - reading.after) <= DRIFT * nearby <= DRIFT * MAX_SLOWDOWN * kernel:
            ms = found.ms.setdefault((reading.contender, reading.workload), [])
            ms.append(reading.ms * kernel / nearby)
    return found
