"""The alarm of a canary's agreement by simulation: how often it rings for a version that is as good, and for worse.

Requests are compared at a steady rate, and a tenth of them is the new version's while the canary lasts. The window is
as long as the canary, so that it begins with requests of the old version alone. The alarm is evaluated each minute.
"""

import argparse
import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from benchmarks.record import Row, publish
from contracts.cascade.drift import LIMIT
from stacks.canaries.codedeploy import PERCENT

Counts = NDArray[np.int64]
Floats = NDArray[np.float64]
MINUTES = 10
COMPARED = (10, 100, 1_000)
RATES = (0.01, 0.05, 0.2)
WORSE = (2, 4, 16)
LONGEST_MINUTES = 30
# More does not occur with two models that agree at all.
MOST = 0.95


@dataclass(frozen=True, slots=True, kw_only=True)
class Canary:
    """A canary: its minutes, the requests that are compared in one, and the rates of those that are contradicted."""

    minutes: int
    compared: float
    before: float
    after: float


def evidence(contradicted: Counts, asked: Counts, before: Counts, asked_before: Counts) -> Floats:
    """Return what the alarm's expression is of many counts at once; a test compares the two."""
    every = np.maximum(asked + asked_before, 1)
    rates = (contradicted + before) / every
    return np.asarray(contradicted * math.log(2) - asked * np.log1p(rates), dtype=np.float64)


def rings(draw: np.random.Generator, canary: Canary, runs: int) -> float:
    """Return the share of canaries in which the alarm rings at any of its evaluations."""
    shape = (runs, canary.minutes)
    share = PERCENT / 100
    new = draw.poisson(canary.compared * share, shape)
    old = draw.poisson(canary.compared * (1 - share), shape)
    # The minutes of the window before the canary, the first of which it loses first.
    earlier = draw.poisson(canary.compared, shape)
    of_new, of_old = draw.binomial(new, canary.after), draw.binomial(old, canary.before)
    of_earlier = draw.binomial(earlier, canary.before)
    rung = np.zeros(runs, dtype=bool)
    for minute in range(1, canary.minutes + 1):
        seen, left = slice(0, minute), slice(minute, canary.minutes)
        found = evidence(
            of_new[:, seen].sum(axis=1),
            new[:, seen].sum(axis=1),
            of_old[:, seen].sum(axis=1) + of_earlier[:, left].sum(axis=1),
            old[:, seen].sum(axis=1) + earlier[:, left].sum(axis=1),
        )
        rung |= found >= math.log(LIMIT)
    return float(np.mean(rung))


def row(draw: np.random.Generator, compared: int, rate: float, runs: int) -> Row:
    def of(times: float, minutes: int = MINUTES) -> float:
        after = min(rate * times, MOST)
        return rings(
            draw, Canary(minutes=minutes, compared=compared, before=rate, after=after), runs
        )

    return {
        "compared a minute": f"{compared:,}",
        "contradicted": f"{rate:.0%}",
        "false alarms": f"{of(1):.2%}",
        f"in {LONGEST_MINUTES} minutes": f"{of(1, LONGEST_MINUTES):.2%}",
        **{f"found: {times} times": f"{of(times):.0%}" for times in WORSE},
    }


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--runs", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=14)
    options = parser.parse_args()
    draw = np.random.default_rng(options.seed)
    rows = [row(draw, compared, rate, options.runs) for compared in COMPARED for rate in RATES]
    publish("canary", rows, runs=options.runs, seed=options.seed)
