"""The next token from the logits of one position, by transformers' logits processors in their order."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from contracts.api.text_generation import REPETITION_PENALTY, TEMPERATURE, TOP_P
from contracts.http_errors import ModelFailed

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Logits = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Sampling:
    """Settings for the choice of a token: the likeliest, or one sampled from those that the limits leave.

    A `top_k` of 0 and a `top_p` of 1 are no limits. Without a seed, each text is sampled differently.
    """

    do_sample: bool = False
    temperature: float = TEMPERATURE.default
    top_k: int = 0
    top_p: float = TOP_P.default
    repetition_penalty: float = REPETITION_PENALTY.default
    seed: int | None = None


class Sampler:
    """The choices for one text: its random numbers, and the tokens that occurred in the prompt or the output."""

    def __init__(self, sampling: Sampling, seen: Iterable[int]) -> None:
        self.sampling = sampling
        self.seen = set(seen)
        self.random = np.random.default_rng(sampling.seed)
        self.mask: NDArray[np.bool_] | None = None

    def choose(self, logits: "NDArray[np.float32]") -> int:
        """Return the next token; raise ModelFailed if a logit is not finite."""
        check_finite(logits)
        scores = logits.astype(np.float64)
        if self.sampling.repetition_penalty != 1:
            scores = penalise(scores, self._mask(len(scores)), self.sampling.repetition_penalty)
        if self.sampling.do_sample:
            token = int(self.random.choice(len(scores), p=probabilities(scores, self.sampling)))
        else:
            token = int(scores.argmax())
        # The output counts as seen too, as in transformers, which passes prompt and output together.
        if self.mask is not None:
            self.mask[token] = True
        return token

    def _mask(self, size: int) -> "NDArray[np.bool_]":
        """Return the mask of seen tokens, which is made once the size of the vocabulary is known."""
        if self.mask is None:
            self.mask = np.zeros(size, np.bool_)
            self.mask[list(self.seen)] = True
        return self.mask


def check_finite(logits: "NDArray[np.float32]") -> None:
    """Raise ModelFailed if a number is not finite."""
    if not np.isfinite(logits).all():
        raise ModelFailed("the model answered with numbers that are not finite")


def log_sum_exp(logits: "NDArray[np.float32]") -> float:
    """Return the logarithm of the softmax's denominator, without overflow."""
    highest = float(logits.max())
    return highest + float(np.log(np.exp(logits - highest).sum(dtype=np.float64)))


def penalise(scores: "Logits", seen: "NDArray[np.bool_]", penalty: float) -> "Logits":
    """Make seen tokens less likely: CTRL (https://arxiv.org/abs/1909.05858, section 4.1).

    As transformers does, a negative score is multiplied, because a division would make it likelier.
    """
    return np.where(seen, np.where(scores < 0, scores * penalty, scores / penalty), scores)


def probabilities(scores: "Logits", sampling: Sampling) -> "Logits":
    """Apply the temperature, keep the `top_k` likeliest tokens, then the fewest of these that reach `top_p`."""
    with np.errstate(over="ignore"):  # a temperature near zero leaves the likeliest alone
        scores = (scores - scores.max()) / sampling.temperature
    if 0 < sampling.top_k < len(scores):
        scores = _above(scores, np.partition(scores, -sampling.top_k)[-sampling.top_k])
    if sampling.top_p < 1:
        scores = _nucleus(scores, sampling.top_p)
    return _softmax(scores)


def _nucleus(scores: "Logits", top_p: float) -> "Logits":
    """Remove the unlikely tokens that have at most 1 - top_p together: https://arxiv.org/abs/1904.09751."""
    order = np.argsort(scores, kind="stable")
    removed = np.cumsum(_softmax(scores[order])) <= 1 - top_p
    # The likeliest token stays, as with `min_tokens_to_keep` in transformers, whatever rounding does to the sum.
    removed[-1] = False
    limited = scores.copy()
    limited[order[removed]] = -np.inf
    return limited


# As in transformers' TopKLogitsWarper, tokens that tie with the last of the `top_k` stay.
def _above(scores: "Logits", threshold: float) -> "Logits":
    return np.where(scores < threshold, -np.inf, scores)


def _softmax(scores: "Logits") -> "Logits":
    powers = np.exp(scores - scores.max())
    normal: Logits = powers / powers.sum()
    return normal
