"""Comparison of language models by the perplexity of texts, and by the tokens that they predict."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import ClassVar

import numpy as np

from build.evaluation.bootstrap import bootstrap_counts, wilson
from build.evaluation.informative import MIN_ROWS
from build.evaluation.metrics import AllOutputs
from build.evaluation.rows import Row
from build.evaluation.teacher_forcing import IDS, LOG_PROBABILITIES
from contracts.specs import Gate

# A log-probability, in nats, for each token of each row.
PerToken = Sequence[Sequence[float]]

# Two log-probabilities that differ by less are the same, up to rounding.
SAME_NATS = 1e-6


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoreFigures:
    """A language model against its reference: the perplexity of all rows' tokens together.

    `ratio` is built over original, `ratio_low` to `ratio_high` its 95 % confidence interval over resampled rows (paired
    bootstrap). Differences are those of one token's log-probability, in nats: 95th percentile and largest.
    """

    # The name of `similarity` where the reference is this machine.
    similarity_name: ClassVar[str] = "perplexity over that here, or the inverse,"

    tokens: int
    perplexity_original: float
    perplexity_built: float
    ratio: float
    ratio_low: float
    ratio_high: float
    difference_p95: float
    difference_max: float

    def problems(self, gate: Gate) -> list[str]:
        """Return the perplexity's problem: a score that is lower than the reference's is as wrong as a higher one."""
        limit = gate.max_perplexity_ratio
        if 1 / limit <= self.ratio <= limit:
            return []
        return [self.outside("above" if self.ratio > limit else "below 1 over", gate)]

    def outside(self, side: str, gate: Gate) -> str:
        """Return the message for a ratio on that side of the gate's limit."""
        return (
            f"perplexity {self.perplexity_built:.4f} is {self.ratio:.4f} of the reference's "
            f"{self.perplexity_original:.4f}, {side} max_perplexity_ratio {gate.max_perplexity_ratio:g}"
        )

    @property
    def similarity(self) -> float:
        """Return the similarity of the candidate to the reference: 1 if they are the same, less otherwise."""
        return min(self.ratio, 1 / self.ratio)

    @staticmethod
    def threshold(gate: Gate) -> float:
        """Return the lowest similarity that passes the gate."""
        return 1 / gate.max_perplexity_ratio


@dataclass(frozen=True, slots=True, kw_only=True)
class GenerationFigures(ScoreFigures):
    """A model that generates text against its reference, by teacher forcing along the rows' targets or its output.

    `reference` is which of the two. The perplexity is that of those tokens. `agreement` is the share of them at which
    both predict the same token, with its 95 % confidence interval by Wilson. If the reference hardly prefers one token
    to another, the smallest change swaps them at no cost: perplexity measures what a change costs.
    """

    # The name of `similarity` where the reference is this machine.
    similarity_name: ClassVar[str] = "same next token as here"

    reference: str
    agreement: float
    agreement_low: float
    agreement_high: float

    def problems(self, gate: Gate) -> list[str]:
        """Return each figure that is outside of the gate; a lower perplexity than the reference's is no problem."""
        problems = []
        if self.ratio > gate.max_perplexity_ratio:
            problems.append(self.outside("above", gate))
        if self.agreement < gate.min_token_agreement:
            problems.append(
                f"same next token in {self.agreement:.4f} of places, below min_token_agreement "
                f"{gate.min_token_agreement:g}"
            )
        return problems

    @property
    def similarity(self) -> float:
        """Return the similarity of the candidate to the reference: 1 if they are the same, less otherwise."""
        return self.agreement

    @staticmethod
    def threshold(gate: Gate) -> float:
        """Return the lowest similarity that passes the gate."""
        return gate.min_token_agreement


def compare_scores(
    candidate: AllOutputs, reference: AllOutputs, rows: Sequence[Row]
) -> ScoreFigures:
    """Return the figures of outputs with a log-probability for each token of a text."""
    ours, theirs = (
        [[token["log_probability"] for token in outputs[0]["per_token"]] for outputs in every]
        for every in (candidate, reference)
    )
    return _figures(ours, theirs)


def compare_generation(
    candidate: AllOutputs, reference: AllOutputs, rows: Sequence[Row]
) -> GenerationFigures:
    """Return the figures of two models by teacher forcing along the same tokens."""
    ours, theirs = ([outputs[0] for outputs in every] for every in (candidate, reference))
    pairs = [
        pair
        for one, other in zip(ours, theirs, strict=True)
        for pair in zip(one[IDS], other[IDS], strict=True)
    ]
    agreed = sum(one == other for one, other in pairs)
    low, high = wilson(agreed, len(pairs))
    scores = _figures(*([o[LOG_PROBABILITIES] for o in outputs] for outputs in (ours, theirs)))
    return GenerationFigures(
        **asdict(scores),
        reference="original" if rows[0].answer is None else "labels",
        agreement=agreed / len(pairs),
        agreement_low=low,
        agreement_high=high,
    )


def uninformative_scores(reference: AllOutputs, rows: Sequence[Row]) -> list[str]:
    """Return that every token is as likely as any other, if the reference finds them so."""
    found = [t["log_probability"] for outputs in reference for t in outputs[0]["per_token"]]
    if len(found) < MIN_ROWS or max(found) - min(found) > SAME_NATS:
        return []
    return [f"the reference gives all {len(found)} tokens the same log-probability, {found[0]:.4f}"]


def uninformative_generation(reference: AllOutputs, rows: Sequence[Row]) -> list[str]:
    """Return that the likeliest tokens are the same everywhere, or for every row, if they are."""
    found = [tuple(outputs[0][IDS]) for outputs in reference]
    tokens = {token for row in found for token in row}
    if len(tokens) <= 1:
        return [f"the reference predicts the same token in all places of {len(rows)} rows"]
    if rows[0].answer is None and len(set(found)) == 1:
        return [f"the reference generates the same text for all {len(rows)} rows"]
    return []


def _figures(ours: PerToken, theirs: PerToken) -> ScoreFigures:
    # Of each row: its tokens, and the negative log-likelihoods of reference and candidate.
    sums = np.array([(len(a), -sum(a), -sum(b)) for a, b in zip(theirs, ours, strict=True)])
    tokens, before, after = sums.sum(axis=0)
    resampled = bootstrap_counts(len(sums)) @ sums
    # A resample may have drawn none but rows without scored tokens.
    ratios = np.exp((resampled[:, 2] - resampled[:, 1]) / np.maximum(resampled[:, 0], 1))
    low, high = np.percentile(ratios, [2.5, 97.5])
    differences = np.abs(
        np.concatenate([np.subtract(a, b) for a, b in zip(theirs, ours, strict=True)])
    )
    return ScoreFigures(
        tokens=int(tokens),
        perplexity_original=float(np.exp(before / tokens)),
        perplexity_built=float(np.exp(after / tokens)),
        ratio=float(np.exp((after - before) / tokens)),
        ratio_low=float(low),
        ratio_high=float(high),
        difference_p95=float(np.percentile(differences, 95)),
        difference_max=float(differences.max()),
    )
