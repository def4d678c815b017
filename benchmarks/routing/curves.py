"""The accuracy of a router by the share of rows that it sends to the large model, in RouteLLM's figures.

PGR, the gap recovered, is (accuracy - small model's) / (large model's - small model's) at a share of escalated rows;
APGR is its mean over all shares, and CPT(x) the least share with a PGR of x (Ong et al. 2024, arXiv:2406.18665). A
perfect router may recover more than the gap, since the small model is right on some rows on which the large one is not.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from build.cascade.reliability import Floats
from build.evaluation.bootstrap import bootstrap_counts

# The gap to recover for CPT50 and CPT80.
HALF, MOST = 0.5, 0.8


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """A figure with its 95 % confidence interval over resampled rows."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Curve:
    """A router's figures. `undefined` is the share of resamples in which the large model was no better."""

    apgr: Estimate
    cpt50: Estimate
    cpt80: Estimate
    undefined: float


def curve(urgency: Floats, gain: Floats) -> Curve:
    """Return the figures of a router that escalates the rows of the highest `urgency` first.

    `gain` is 1 where the large model alone is right, -1 where the small one alone is, else 0. Raise ValueError if the
    large model is no better on all rows, since there is no gap then.
    """
    order = np.argsort(-urgency, kind="stable")
    gain = gain[order]
    if gain.sum() <= 0:
        raise ValueError("the large model is no better than the small one: there is no gap")
    resamples = [weights[order] for weights in bootstrap_counts(len(gain))]
    with_gap = [weights for weights in resamples if weights @ gain > 0]

    def estimate(figure: Callable[[Floats, Floats], float]) -> Estimate:
        found = [figure(weights, gain) for weights in with_gap]
        low, high = np.percentile(found, [2.5, 97.5])
        return Estimate(value=figure(np.ones(len(gain)), gain), low=float(low), high=float(high))

    return Curve(
        apgr=estimate(apgr),
        cpt50=estimate(lambda weights, gain: cpt(weights, gain, HALF)),
        cpt80=estimate(lambda weights, gain: cpt(weights, gain, MOST)),
        undefined=1 - len(with_gap) / len(resamples),
    )


def recovered(weights: Floats, gain: Floats) -> Floats:
    """Return the PGR before the first row and after each, in the order of escalation; rows count by their weights."""
    gained: Floats = np.concatenate([[0.0], np.cumsum(weights * gain)])
    share: Floats = gained / gained[-1]
    return share


def apgr(weights: Floats, gain: Floats) -> float:
    """Return the area under the PGR over the share of escalated rows."""
    pgr = recovered(weights, gain)
    return float(((pgr[1:] + pgr[:-1]) / 2) @ weights / weights.sum())


def cpt(weights: Floats, gain: Floats, wanted: float) -> float:
    """Return the least share of escalated rows that recovers `wanted` of the gap."""
    enough = int(np.argmax(recovered(weights, gain) >= wanted))
    return float(weights[:enough].sum() / weights.sum())
