"""The ranking of candidates: those that pass the gate, best first by the objective of `models.toml`."""

from collections.abc import Mapping, Sequence

from build.proof.candidate import Candidate
from build.proof.timing import Timing
from contracts.tasks import Runtime

# Latencies within this ratio count as equal: two runs of one candidate on one machine differ by as much.
EQUAL_LATENCY = 1.05
# What OpenVINO has to save of a row's time, and the requests within which a start has to be made good.
LEAST_SAVED, REQUESTS_A_START = 0.1, 1000


def expected_ms(timing: Timing, shares: Mapping[int, float]) -> float:
    """Return the rows' mean latency in milliseconds; `shares` of them are nearest to each length measured."""
    return round(sum(timing.ms[tokens] * share for tokens, share in shares.items()), 4)


def length_shares(lengths: Sequence[int], measured: Sequence[int]) -> dict[int, float]:
    """Return the share of rows nearest to each length measured; both are in tokens."""
    nearest = [min(measured, key=lambda tokens: abs(tokens - length)) for length in lengths]
    return {tokens: nearest.count(tokens) / len(nearest) for tokens in measured}


def ranked(candidates: Sequence[Candidate], objective: str) -> list[Candidate]:
    """Return the candidates that pass the gate, best first. `objective` is latency, size or accuracy.

    For latency, the one nearest to the reference comes first among those as fast as the fastest, so that noise in the
    times does not decide. Candidates of OpenVINO come before the best of ONNX Runtime if they `pay`, and else last.
    """
    passed = [candidate for candidate in candidates if not candidate.problems]
    of_onnx_runtime = [c for c in passed if c.recipe.runtime is Runtime.ONNX_RUNTIME]
    of_openvino = [c for c in passed if c.recipe.runtime is Runtime.OPENVINO]
    best = _ranked(of_onnx_runtime, objective)
    others = _ranked(of_openvino, objective)
    first = [c for c in others if best and pays(c, best[0])]
    return [*first, *best, *(c for c in others if c not in first)]


def pays(other: Candidate, candidate: Candidate) -> bool:
    """Return whether OpenVINO's longer start and larger image are worth the time that it saves of the user's rows.

    It has to save a tenth of it, and within a thousand requests what its start takes more.
    """
    saved = candidate.expected_ms - other.expected_ms
    longer = other.timing.load_ms - candidate.timing.load_ms
    enough = saved > 0 and saved >= LEAST_SAVED * candidate.expected_ms
    return enough and saved * REQUESTS_A_START >= longer


def _ranked(candidates: Sequence[Candidate], objective: str) -> list[Candidate]:
    """Return the candidates of one runtime, best first."""
    left = list(candidates)
    if objective == "size":
        return sorted(left, key=lambda c: (c.manifest.size, c.divergence))
    if objective == "accuracy":
        return sorted(left, key=lambda c: (c.divergence, c.expected_ms))
    # The fastest of those that are left sets the limit anew, so ties are broken at every rank, not only at the first.
    ordered = []
    while left:
        limit = min(c.expected_ms for c in left) * EQUAL_LATENCY
        best = min((c for c in left if c.expected_ms <= limit), key=lambda c: c.divergence)
        left.remove(best)
        ordered.append(best)
    return ordered


def pareto(candidates: Sequence[Candidate]) -> list[bool]:
    """Return for each candidate whether it is Pareto-optimal in latency, size and divergence: no other dominates it."""
    costs = [(c.expected_ms, c.manifest.size, c.divergence) for c in candidates]
    return [not any(_dominates(other, own) for other in costs) for own in costs]


def _dominates(one: tuple[float, ...], other: tuple[float, ...]) -> bool:
    """Return whether one is at least as good as the other in every cost, and better in one."""
    return one != other and all(a <= b for a, b in zip(one, other, strict=True))
