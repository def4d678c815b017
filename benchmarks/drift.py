"""The drift watch by simulation: its false alarms, and its delay after the rate of disagreements has doubled.

The true rate is known; what the calibration says of it is drawn as well, and so is off by its binomial noise. The last
column is a limit for any test, even one that knows the rate: of the HORIZON / WITHIN windows, one has at most its share
of the false alarms, and of changes at the start of that window no test finds more within it than the most powerful one
of that level (the lemma of Neyman and Pearson).
"""

import argparse
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binom

from benchmarks.record import Row, publish
from contracts.cascade.drift import AT_ONCE, HORIZON, JEFFREYS, LIMIT

Floats = NDArray[np.float64]
Booleans = NDArray[np.bool_]
RATES = (0.005, 0.01, 0.015, 0.02, 0.03, 0.05, 0.1)
KEPT = (300, 1_000, 5_000)
# The inputs after which traffic changes, and how long a detection is waited for.
CHANGES = (0, 1_000, 10_000)
LONGEST = 10_000
WITHIN = 1_000
FALSE_ALARMS = 0.05


@dataclass(slots=True)
class Watches:
    """Many runs of `contracts.cascade.drift` at once; a test compares them with it.

    `a` and `b` are of the Beta distribution of each run's rate, `once` and `later` the evidence in its two parts.
    """

    a: Floats
    b: Floats
    samples: int
    disagreed: Floats
    once: Floats
    later: Floats

    @classmethod
    def of(cls, kept: int, disagreed: NDArray[np.int64]) -> "Watches":
        counted, zero = disagreed.astype(np.float64), np.zeros(len(disagreed))
        a, b = counted + JEFFREYS, kept - counted + JEFFREYS
        return cls(a, b, 0, zero, np.full(len(disagreed), AT_ONCE), zero.copy())

    def see(self, disagrees: Booleans) -> Floats:
        """Take one input in each run; return the evidence after it."""
        a, b, samples = self.a, self.b, self.samples
        rate = np.maximum(a / (a + b), (a + self.disagreed) / (a + b + samples))
        self.later = (self.later + (1 - AT_ONCE) / HORIZON) * (1 + disagrees) / (1 + rate)
        agreed = samples - self.disagreed
        self.once = self.once * np.where(disagrees, 1.0, (b / 2 + agreed) / (b + agreed))
        self.once *= (a + b + samples) / (a + b / 2 + samples)
        self.disagreed = self.disagreed + disagrees
        self.samples += 1
        return self.once + self.later


def drawn(draw: np.random.Generator, rate: float, kept: int, runs: int) -> Watches:
    """Return runs whose calibrations saw as many disagreements as rows of that rate have."""
    return Watches.of(kept, draw.binomial(kept, rate, runs))


def false_alarms(watches: Watches, draw: np.random.Generator, rate: float, inputs: int) -> float:
    """Return the share of runs that are withdrawn within so many inputs of the rate that was calibrated."""
    highest = np.zeros(len(watches.a))
    for _ in range(inputs):
        np.maximum(highest, watches.see(draw.random(len(highest)) < rate), out=highest)
    return float(np.mean(highest >= LIMIT))


def delay(
    watches: Watches, draw: np.random.Generator, rate: float, change: int, longest: int
) -> int:
    """Return the median number of inputs after the rate has doubled until a run is withdrawn, `longest` at most.

    Runs that are withdrawn before the change do not count.
    """
    runs = len(watches.a)
    stopped = np.full(runs, change + longest)
    for i in range(change + longest):
        evidence = watches.see(draw.random(runs) < (rate if i < change else 2 * rate))
        stopped[(evidence >= LIMIT) & (stopped > i)] = i + 1
        if i > change and np.median(stopped[stopped > change]) <= i:
            break
    return int(np.median(stopped[stopped > change])) - change


def most_found(rate: float) -> float:
    """Return the share of doublings that any test with so few false alarms finds within WITHIN inputs, at most."""
    # Of runs without an alarm before the window.
    level = FALSE_ALARMS * WITHIN / HORIZON / (1 - FALSE_ALARMS)
    counts = np.arange(WITHIN + 1)
    least = int(counts[binom.sf(counts - 1, WITHIN, rate) <= level][0])
    # A count below which it decides by chance, so that the level is reached.
    chance = (level - binom.sf(least - 1, WITHIN, rate)) / binom.pmf(least - 1, WITHIN, rate)
    found = binom.sf(least - 1, WITHIN, 2 * rate)
    return float(found + chance * binom.pmf(least - 1, WITHIN, 2 * rate))


def row(draw: np.random.Generator, rate: float, kept: int, runs: int) -> Row:
    alarms = false_alarms(drawn(draw, rate, kept, runs), draw, rate, HORIZON)
    delays = {
        f"delay from {change:,}": delay(drawn(draw, rate, kept, runs), draw, rate, change, LONGEST)
        for change in CHANGES
    }
    return {
        "disagree": f"{rate:.1%}",
        "kept rows": f"{kept:,}",
        "false alarms": f"{alarms:.1%}",
        **{name: f"{d:,}" if d < LONGEST else f"over {LONGEST:,}" for name, d in delays.items()},
        "any test": f"{most_found(rate):.0%}",
    }


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--runs", type=int, default=2_000)
    parser.add_argument("--seed", type=int, default=14)
    options = parser.parse_args()
    draw = np.random.default_rng(options.seed)
    rows = [row(draw, rate, kept, options.runs) for rate in RATES for kept in KEPT]
    publish("drift", rows, runs=options.runs, seed=options.seed)
