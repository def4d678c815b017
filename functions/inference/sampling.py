"""From the logits of one position to the next token, with the processors of transformers in their order."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from contracts.errors import ModelFailed

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Logits = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Sampling:
    """How the next token is chosen: the likeliest, or one drawn from what the limits leave.

    `top_k` is 0 and `top_p` is 1 where there is no such limit; without a seed each text is drawn anew.
    """

    do_sample: bool = False
    temperature: float = 1.0
    top_k: int = 0
    top_p: float = 1.0
    repetition_penalty: float = 1.0
    seed: int | None = None


class Sampler:
    """The choices for one text. It remembers which tokens stood before, and where its random numbers are."""

    def __init__(self, sampling: Sampling, seen: Iterable[int]) -> None:
        self.sampling = sampling
        self.seen = set(seen)
        self.random = np.random.default_rng(sampling.seed)
        self.mask: NDArray[np.bool_] | None = None

    def choose(self, logits: "NDArray[np.float32]") -> int:
        """The next token; raises ModelFailed where the logits are no numbers."""
        check_finite(logits)
        scores = logits.astype(np.float64)
        if self.sampling.repetition_penalty != 1:
            scores = penalise(scores, self._mask(len(scores)), self.sampling.repetition_penalty)
        if self.sampling.do_sample:
            token = int(self.random.choice(len(scores), p=probabilities(scores, self.sampling)))
        else:
            token = int(scores.argmax())
        if self.mask is not None:
            self.mask[token] = True
        return token

    def _mask(self, size: int) -> "NDArray[np.bool_]":
        if self.mask is None:
            self.mask = np.zeros(size, np.bool_)
            self.mask[list(self.seen)] = True
        return self.mask


def check_finite(logits: "NDArray[np.float32]") -> None:
    if not np.isfinite(logits).all():
        raise ModelFailed("the model answered with numbers that are not finite")


def log_sum_exp(logits: "NDArray[np.float32]") -> float:
    """The logarithm of what the logits' softmax divides by."""
    most = float(logits.max())
    return most + float(np.log(np.exp(logits - most).sum(dtype=np.float64)))


def penalise(scores: "Logits", seen: "NDArray[np.bool_]", penalty: float) -> "Logits":
    """What stood before becomes less likely: https://arxiv.org/abs/1909.05858, section 4.1."""
    return np.where(seen, np.where(scores < 0, scores * penalty, scores / penalty), scores)


def probabilities(scores: "Logits", sampling: Sampling) -> "Logits":
    """Temperature, then the `top_k` likeliest, then of these the fewest that reach `top_p`."""
    with np.errstate(over="ignore"):  # a temperature near zero leaves the likeliest alone
        scores = (scores - scores.max()) / sampling.temperature
    if 0 < sampling.top_k < len(scores):
        scores = _keep(scores, np.partition(scores, -sampling.top_k)[-sampling.top_k])
    if sampling.top_p < 1:
        scores = _nucleus(scores, sampling.top_p)
    return _softmax(scores)


def _nucleus(scores: "Logits", top_p: float) -> "Logits":
    order = np.argsort(scores, kind="stable")
    removed = np.cumsum(_softmax(scores[order])) <= 1 - top_p
    removed[-1] = False
    limited = scores.copy()
    limited[order[removed]] = -np.inf
    return limited


def _keep(scores: "Logits", least: float) -> "Logits":
    return np.where(scores < least, -np.inf, scores)


def _softmax(scores: "Logits") -> "Logits":
    powers = np.exp(scores - scores.max())
    normal: Logits = powers / powers.sum()
    return normal
