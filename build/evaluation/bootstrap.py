"""Confidence intervals of figures that were measured on a sample of rows."""

import math

import numpy as np

from build.evaluation.metrics import Floats

# With 2,000 resamples the ends of a 95 % interval hardly move with the seed.
RESAMPLES, SEED = 2000, 0
# The 97.5th percentile of the normal distribution.
Z95 = 1.959964


def bootstrap_counts(rows: int) -> Floats:
    """Return how often each row is drawn, with replacement, in each resample (Efron 1979): [resamples, rows]."""
    generator = np.random.default_rng(SEED)
    counts: Floats = generator.multinomial(rows, np.full(rows, 1 / rows), RESAMPLES).astype(
        np.float64
    )
    return counts


def wilson(hits: float, rows: int) -> tuple[float, float]:
    """Return the 95 % confidence interval of a share (Wilson 1927), which stays within 0 and 1 at every share."""
    share, spread = hits / rows, Z95**2 / rows
    centre = share + spread / 2
    half = Z95 * math.sqrt(share * (1 - share) / rows + spread / (4 * rows))
    # At a share of 0 or 1, rounding may take an end of the interval out of 0 to 1.
    return max(0.0, (centre - half) / (1 + spread)), min(1.0, (centre + half) / (1 + spread))
