"""The promised bound on real rows: what is kept and lost at it, and whether it holds on rows that chose nothing."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from benchmarks.routing.curves import Estimate
from build.cascade.answers import Answers
from build.cascade.reliability import Floats, calibration_error, isotonic
from build.cascade.thresholds import chosen, grid_of, outcomes
from build.evaluation.bootstrap import bootstrap_counts

ASSURANCE = 0.95
SPLITS, SEED = 200, 7
# A number of losses that a binomial share of the bound itself reaches less often than this is no noise.
UNLIKELY = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class Resplits:
    """Thresholds found on one half of the rows, tried on the other, over many random halves.

    `kept` are the shares of rows kept, 0 where no threshold kept the bound. `above` is the share of splits whose loss
    on the other half is above the bound, and `beyond_noise` of those where it is so far above that rows with exactly
    that risk would show it in less than 5 % of draws.
    """

    kept: Sequence[float]
    above: float
    beyond_noise: float


def resplits(answers: Answers, max_loss: float, splits: int = SPLITS) -> Resplits:
    """Return what random halves of the rows say of the bound."""
    from scipy.stats import binom

    draw = np.random.default_rng(SEED)
    count = len(answers.confidences)
    kept, above, beyond = [], 0, 0
    for _ in range(splits):
        places = draw.permutation(count).tolist()
        ours, others = answers.at(places[: count // 2]), answers.at(places[count // 2 :])
        threshold = threshold_on(ours, max_loss)
        keeps = others.confidences >= threshold
        lost = int(np.count_nonzero(keeps & others.losses))
        kept.append(float(keeps.mean()))
        above += lost > max_loss * len(keeps)
        beyond += float(binom.sf(lost - 1, len(keeps), max_loss)) < UNLIKELY
    return Resplits(kept=kept, above=above / splits, beyond_noise=beyond / splits)


def threshold_on(answers: Answers, max_loss: float) -> float:
    """Return the threshold by half of the rows for the grid and half for the test; infinity if none keeps the bound."""
    half = len(answers.confidences) // 2
    fit, test = answers.at(range(half)), answers.at(range(half, len(answers.confidences)))
    tested = outcomes(test.confidences, test.losses, grid_of(fit.confidences), ASSURANCE)
    best = chosen(tested, max_loss)
    return best.threshold if best else float("inf")


def accuracy_difference(answers: Answers, threshold: float) -> Estimate:
    """Return the accuracy of both models together less that of the large one alone."""
    kept = answers.confidences >= threshold
    together = np.where(kept, answers.cpu_right, answers.gpu_right).astype(np.float64)
    return mean_of(together - answers.gpu_right)


def mean_of(values: Floats) -> Estimate:
    """Return a mean with its interval over resampled rows."""
    means = bootstrap_counts(len(values)) @ values / len(values)
    low, high = np.percentile(means, [2.5, 97.5])
    return Estimate(value=float(values.mean()), low=float(low), high=float(high))


def calibration_errors(fit: Answers, test: Answers) -> tuple[Estimate, Estimate]:
    """Return the expected calibration error on the test rows, before and after an isotonic fit on the others."""
    probability = isotonic(fit.confidences, fit.cpu_right.astype(np.float64))
    right = test.cpu_right.astype(np.float64)
    return _error(test.confidences, right), _error(probability(test.confidences), right)


def _error(confidences: Floats, right: Floats) -> Estimate:
    """Return the error with its basic bootstrap interval: a resample adds noise to an error, which percentiles keep."""
    value = calibration_error(confidences, right)
    found = []
    for weights in bootstrap_counts(len(right)):
        drawn = np.repeat(np.arange(len(right)), weights.astype(int))
        found.append(calibration_error(confidences[drawn], right[drawn]))
    low, high = np.percentile(found, [2.5, 97.5])
    return Estimate(value=value, low=max(0.0, 2 * value - high), high=max(0.0, 2 * value - low))
