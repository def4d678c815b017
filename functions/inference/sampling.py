"""The next token from the logits of one position, by transformers' logits processors in their order."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from contracts.api.text_generation import REPETITION_PENALTY, TEMPERATURE, TOP_P
from contracts.http_errors import ModelFailed
from functions.inference.logits_processors import TokenHistory, process

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Logits = NDArray[np.float64]


# Of a confidence: float32's last digits depend on the processor.
DIGITS = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class Sampling:
    """Settings for the choice of a token: the likeliest, or one sampled from those that the limits leave.

    A `top_k` of 0 and a `top_p` of 1 are no limits. Without a seed, each text is sampled differently. `processors` and
    `limits` are settings of the model itself, by their keys in its generation_config.json: `PROCESSORS` of
    `logits_processors.py` change the logits of every choice, `LIMITS` those that are sampled from.
    """

    do_sample: bool = False
    temperature: float = TEMPERATURE.default
    top_k: int = 0
    top_p: float = TOP_P.default
    repetition_penalty: float = REPETITION_PENALTY.default
    seed: int | None = None
    processors: Mapping[str, Any] = field(default_factory=dict)
    limits: Mapping[str, float] = field(default_factory=dict)

    @property
    def changes(self) -> Mapping[str, Any]:
        """Return the settings of every change of the logits, by their keys in a generation_config.json."""
        penalty = self.repetition_penalty
        return {**self.processors, **({"repetition_penalty": penalty} if penalty != 1 else {})}


class Sampler:
    """The choices for one text: its random numbers, and the tokens of its prompt and output."""

    def __init__(self, sampling: Sampling, history: TokenHistory) -> None:
        self.sampling = sampling
        self.history = history
        self.random = np.random.default_rng(sampling.seed)
        self.changes = sampling.changes
        self.log_probability = 0.0

    def choose(self, logits: "NDArray[np.float32]") -> int:
        """Return the next token; raise ModelFailed if a logit is not finite."""
        if self.sampling.do_sample:
            shares = self.probabilities(logits)
            token = int(self.random.choice(len(shares), p=shares))
        else:
            # In float32 all of it takes a fraction of the time.
            scores = self.scores(logits) if self.changes else finite(logits)
            token = int(scores.argmax())
            self.log_probability += log_probability_of_best(scores, token)
        # The output counts as seen too, as in transformers, which passes prompt and output together.
        self.history.generated.append(token)
        return token

    @property
    def confidence(self) -> float | None:
        """Return the geometric mean of the chosen tokens' probabilities; None if they were sampled, or are none."""
        count = len(self.history.generated)
        if self.sampling.do_sample or not count:
            return None
        return mean_probability(self.log_probability, count)

    def scores(self, logits: "NDArray[np.float32]") -> "Logits":
        """Return the logits after the model's own changes; raise ModelFailed if one is not finite."""
        return process(finite(logits).astype(np.float64), self.changes, self.history)

    def probabilities(self, logits: "NDArray[np.float32]") -> "Logits":
        """Return the probability of each token to be sampled next."""
        return probabilities(self.scores(logits), self.sampling)


def log_probability_of_best(scores: "Logits | NDArray[np.float32]", token: int) -> float:
    """Return the log-probability of the token with the highest score; minus infinity where all are banned."""
    best = scores[token]
    if not np.isfinite(best):
        return -math.inf
    powers = (scores - best).astype(np.float32, copy=False)
    return -math.log(np.exp(powers, out=powers).sum())


def mean_probability(log_probability: float, tokens: int) -> float:
    """Return the geometric mean of the probabilities of so many tokens, from the logarithm of their product."""
    return round(min(1.0, math.exp(log_probability / tokens)), DIGITS)


def finite(logits: "NDArray[np.float32]") -> "NDArray[np.float32]":
    """Return the logits; raise ModelFailed if one is not finite."""
    check_finite(logits)
    return logits


def check_finite(logits: "NDArray[np.float32]") -> None:
    """Raise ModelFailed if a number is not finite."""
    if not np.isfinite(logits).all():
        raise ModelFailed("the model answered with numbers that are not finite")


def log_sum_exp(logits: "NDArray[np.float32]") -> float:
    """Return the logarithm of the softmax's denominator, without overflow."""
    highest = float(logits.max())
    return highest + float(np.log(np.exp(logits - highest).sum(dtype=np.float64)))


def probabilities(scores: "Logits", sampling: Sampling) -> "Logits":
    """Apply the temperature, keep the `top_k` likeliest tokens, then the fewest of these that reach `top_p`.

    `top_h` of the model's own limits comes before these two, the others after them.
    """
    with np.errstate(over="ignore"):  # a temperature near zero leaves the likeliest alone
        scores = (scores - scores.max()) / sampling.temperature
    if "top_h" in sampling.limits:
        scores = top_h(scores, sampling.limits["top_h"])
    if 0 < sampling.top_k < len(scores):
        scores = _above(scores, np.partition(scores, -sampling.top_k)[-sampling.top_k])
    if sampling.top_p < 1:
        scores = _nucleus(scores, sampling.top_p)
    for key, limit in LIMITS.items():
        if key in sampling.limits:
            scores = limit(scores, sampling.limits[key])
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


# Top-h looks at no more than this many of the likeliest tokens, as in transformers.
TOP_H_TOKENS = 100


def top_h(scores: "Logits", share: float) -> "Logits":
    """Keep the likeliest tokens that have that share of the entropy: https://arxiv.org/abs/2509.02510."""
    order = np.argsort(-scores, kind="stable")[:TOP_H_TOKENS]
    of_top = _softmax(scores[order])
    terms = -of_top * np.log(of_top, out=np.zeros_like(of_top), where=of_top > 0)
    kept = np.cumsum(terms) <= terms.sum() * share
    kept[0] = True
    return _kept(scores, order[kept])


def min_p(scores: "Logits", share: float) -> "Logits":
    """Remove tokens that are less likely than that share of the likeliest: https://arxiv.org/abs/2407.01082."""
    likely = _softmax(scores)
    return np.where(likely < share * likely.max(), -np.inf, scores)


def typical_p(scores: "Logits", mass: float) -> "Logits":
    """Keep the most typical tokens that have that probability together: https://arxiv.org/abs/2202.00666."""
    likely = _softmax(scores)
    logs = np.log(likely, out=np.full_like(likely, -np.inf), where=likely > 0)
    entropy = -np.sum(likely[likely > 0] * logs[likely > 0])
    distance = np.abs(-logs - entropy)
    order = np.argsort(distance, kind="stable")
    last = min(int((np.cumsum(likely[order]) < mass).sum()), len(scores) - 1)
    limited = np.where(distance > distance[order[last]], -np.inf, scores)
    limited[order[0]] = scores[order[0]]
    return limited


def epsilon_cutoff(scores: "Logits", epsilon: float) -> "Logits":
    """Remove tokens less likely than `epsilon`: https://arxiv.org/abs/2210.15191."""
    return np.where((_softmax(scores) < epsilon) & (scores < scores.max()), -np.inf, scores)


def eta_cutoff(scores: "Logits", epsilon: float) -> "Logits":
    """Remove tokens less likely than a threshold that falls with the entropy: https://arxiv.org/abs/2210.15191."""
    likely = _softmax(scores)
    entropy = -np.sum(likely * np.log(likely, out=np.zeros_like(likely), where=likely > 0))
    return epsilon_cutoff(scores, min(epsilon, float(np.sqrt(epsilon) * np.exp(-entropy))))


def _kept(scores: "Logits", places: "NDArray[np.intp]") -> "Logits":
    limited = np.full_like(scores, -np.inf)
    limited[places] = scores[places]
    return limited


# Limits that only a model's own settings have, in transformers' order; `top_h` comes before `top_k`.
LIMITS: Mapping[str, Callable[["Logits", float], "Logits"]] = {
    "min_p": min_p,
    "typical_p": typical_p,
    "epsilon_cutoff": epsilon_cutoff,
    "eta_cutoff": eta_cutoff,
}
