"""Which of the candidates ships: the cheapest that passes the gate, by the objective."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from build.evaluation.gate import Figures
from build.evaluation.metrics import Outputs
from build.proof.timing import UNTIMED, Timing
from build.recipes.recipe import Recipe
from contracts.manifest import Manifest

# Two candidates whose latencies are nearer than this are equally fast: runs on one machine differ by as much.
EQUAL = 1.05


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A sealed folder made by a recipe: how near it comes to the original, and what it costs.

    `outputs` are its answers to the rows, `expected_ms` is the latency of a row like those of the user.
    """

    folder: Path
    recipe: Recipe
    manifest: Manifest
    figures: Figures
    failures: tuple[str, ...]
    outputs: tuple[Outputs, ...] = ()
    timing: Timing = UNTIMED
    expected_ms: float = 0.0

    @property
    def loss(self) -> float:
        """What is lost against the original: 0 is nothing."""
        return 1 - self.figures.nearness


def expected_ms(timing: Timing, shares: Mapping[int, float]) -> float:
    """The mean latency over the user's rows; `shares` of them are nearest to each of the lengths measured."""
    return round(sum(timing.ms[tokens] * share for tokens, share in shares.items()), 4)


def shares(lengths: Sequence[int], measured: Sequence[int]) -> dict[int, float]:
    """What share of rows of those lengths, in tokens, is nearest to each length measured."""
    nearest = [min(measured, key=lambda tokens: abs(tokens - length)) for length in lengths]
    return {tokens: nearest.count(tokens) / len(nearest) for tokens in measured}


def order(candidates: Sequence[Candidate], objective: str) -> list[Candidate]:
    """Those that pass the gate, the best first. `objective` is latency, size or accuracy.

    For latency, of those as fast as the fastest the one nearest to the original comes first, so that noise decides
    nothing that matters.
    """
    left = [candidate for candidate in candidates if not candidate.failures]
    if objective == "size":
        return sorted(left, key=lambda c: (c.manifest.size, c.loss))
    if objective == "accuracy":
        return sorted(left, key=lambda c: (c.loss, c.expected_ms))
    ordered = []
    while left:
        limit = min(c.expected_ms for c in left) * EQUAL
        best = min((c for c in left if c.expected_ms <= limit), key=lambda c: c.loss)
        left.remove(best)
        ordered.append(best)
    return ordered


def pareto(candidates: Sequence[Candidate]) -> list[bool]:
    """For each candidate, whether none is at least as good in latency, size and loss, and better in one of them."""
    costs = [(c.expected_ms, c.manifest.size, c.loss) for c in candidates]
    return [not any(_dominates(other, own) for other in costs) for own in costs]


def _dominates(one: tuple[float, ...], other: tuple[float, ...]) -> bool:
    return one != other and all(a <= b for a, b in zip(one, other, strict=True))
