"""The drift watch: a sequential test whether the GPU tier contradicts kept answers more often than at calibration.

It bets, input by input, that the odds of a disagreement have doubled: evidence is multiplied by 2 / (1 + rate) where
the tiers disagree and by 1 / (1 + rate) where they agree. As long as they disagree no more often than `rate`, that is 1
at most on average. So evidence that starts as 1 reaches LIMIT with a probability of at most 1 / LIMIT, however often
it is looked at (Ville's inequality; Waudby-Smith and Ramdas, arXiv:2010.09686).

The 1 is divided among the moments at which traffic may change: AT_ONCE on the first input, since traffic may never have
been like the rows, and the rest in equal parts on each of the first HORIZON inputs, as in the e-detector of Shiryaev
and Roberts (Shin, Ramdas, Rinaldo, arXiv:2203.03532). The latter bets run as one sum: the state is three numbers.

A calibration tells the rate by a count, and is off by its binomial noise. So the rate is uncertain here as well: by
that count and Jeffreys' prior it has a Beta distribution, of which each bet takes the mean, and each input is a further
count. A rate that has fallen does not lower what it is compared with.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Self

# At most one false alarm in 20, within so many inputs.
LIMIT = 20.0
HORIZON = 100_000
AT_ONCE = 0.2
JEFFREYS = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Baseline:
    """The kept rows of a calibration, and how many of them the GPU tier answered otherwise."""

    kept: int
    disagreed: int

    def rate(self, watch: "Watch") -> float:
        """Return the expected share of disagreements among further inputs, not below that of the calibration alone."""
        counted, of = self.disagreed + JEFFREYS, self.kept + 2 * JEFFREYS
        return max(counted / of, (counted + watch.disagreed) / (of + watch.samples))


@dataclass(frozen=True, slots=True, kw_only=True)
class Watch:
    """The state of the test: the inputs sampled, the disagreements among them, and what the later bets hold."""

    samples: int = 0
    disagreed: int = 0
    later: float = 0.0

    def evidence(self, baseline: Baseline) -> float:
        """Return the evidence that the tiers disagree more often than the calibration says."""
        return _at_once(self, baseline) + self.later

    def withdrawn(self, baseline: Baseline) -> bool:
        return self.evidence(baseline) >= LIMIT

    def to_document(self, baseline: Baseline) -> dict[str, Any]:
        """Return the document of a shared row, with what follows from it for those who only read it."""
        evidence = round(self.evidence(baseline), 4)
        return {**asdict(self), "evidence": evidence, "withdrawn": self.withdrawn(baseline)}

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> Self:
        """Return the state in a row's document; raise KeyError or ValueError for one that is none."""
        return cls(
            samples=int(document["samples"]),
            disagreed=int(document["disagreed"]),
            later=float(document["later"]),
        )


def drift_key(model: str, calibration: str) -> str:
    """Return the key of the row of a model's watch: a new calibration, by its digest, begins another one."""
    return f"drift#{model}#{calibration[:12]}"


def watched(watch: Watch, baseline: Baseline, disagreements: Iterable[bool]) -> Watch:
    """Return the state after further inputs, each a disagreement or none; one that is withdrawn stays as it is."""
    for disagrees in disagreements:
        if watch.withdrawn(baseline):
            break
        held = watch.later + (1 - AT_ONCE) / HORIZON
        watch = Watch(
            samples=watch.samples + 1,
            disagreed=watch.disagreed + disagrees,
            later=held * (1 + disagrees) / (1 + baseline.rate(watch)),
        )
    return watch


def _at_once(watch: Watch, baseline: Baseline) -> float:
    """Return what the bet holds that the odds have been doubled since the first input.

    It is the ratio of two beta-binomial likelihoods, and so needs no more than the counts.
    """
    a, b = baseline.disagreed + JEFFREYS, baseline.kept - baseline.disagreed + JEFFREYS
    of, disagreed = watch.samples, watch.disagreed
    log = _log_beta(a + disagreed, b / 2 + of - disagreed) - _log_beta(a, b / 2)
    log -= _log_beta(a + disagreed, b + of - disagreed) - _log_beta(a, b)
    # It may hold more than a float does only far above the limit.
    return AT_ONCE * math.exp(min(log, 100.0))


def _log_beta(a: float, b: float) -> float:
    return math.lgamma(a) + math.lgamma(b) - math.lgamma(a + b)
