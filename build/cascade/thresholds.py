"""The choice of a threshold with a bound on what it loses.

Learn then Test (Angelopoulos et al. 2021, arXiv:2110.01052) with fixed-sequence testing: thresholds of a grid that was
fixed beforehand are tested from the highest to the lowest, each by the exact test of a binomial proportion, until one
fails. The lowest that passed keeps the bound with the probability `assurance`, with no correction for their number.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Booleans = NDArray[np.bool_]
# Thresholds of the grid: quantiles of the confidences of the rows that are not tested on.
GRID = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """A threshold on the test rows: how many of `rows` are kept and lost, and the upper bound of the share lost."""

    threshold: float
    rows: int
    kept: int
    lost: int
    bound: float


def grid_of(confidences: Floats, steps: int = GRID) -> tuple[float, ...]:
    """Return thresholds from the highest to the lowest, which keeps everything."""
    quantiles = np.quantile(confidences, np.linspace(0, 1, steps + 1)[1:])
    return (*sorted({float(q) for q in quantiles}, reverse=True), 0.0)


def upper_bound(lost: int, rows: int, assurance: float) -> float:
    """Return the Clopper-Pearson upper bound of a share of which `lost` of `rows` were seen (one-sided)."""
    from scipy.stats import beta

    return 1.0 if lost >= rows else float(beta.ppf(assurance, lost + 1, rows - lost))


def rows_needed(max_loss: float, assurance: float) -> int:
    """Return the fewest test rows without a loss that show a loss of at most `max_loss`."""
    return math.ceil(math.log(1 - assurance) / math.log(1 - max_loss))


def outcomes(
    confidences: Floats, losses: Booleans, grid: Sequence[float], assurance: float
) -> list[Outcome]:
    """Return each threshold of the grid on the test rows; a loss counts where the row is kept."""
    found = []
    for threshold in grid:
        kept = confidences >= threshold
        lost = int(np.count_nonzero(kept & losses))
        found.append(
            Outcome(
                threshold=threshold,
                rows=len(confidences),
                kept=int(np.count_nonzero(kept)),
                lost=lost,
                bound=upper_bound(lost, len(confidences), assurance),
            )
        )
    return found


def chosen(tested: Sequence[Outcome], max_loss: float) -> Outcome | None:
    """Return the last threshold before the first whose bound is above `max_loss`; None if the first one's is."""
    best = None
    for one in tested:
        if one.bound > max_loss:
            break
        best = one
    return best
