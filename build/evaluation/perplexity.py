"""How near a language model comes to its original: by the perplexity of texts, and by the tokens it goes on with."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np

from build.evaluation.bootstrap import bootstrap_counts, wilson
from build.evaluation.metrics import Outputs
from build.evaluation.teacher_forcing import IDS, LOG_PROBABILITIES
from contracts.specs import Gate

Answered = Sequence[Outputs]
PerToken = Sequence[Sequence[float]]


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoreFigures:
    """A language model against its original: the perplexity of all rows' tokens together.

    `ratio` is built over original, `ratio_low` to `ratio_high` its 95 % interval over resampled rows (paired
    bootstrap). Differences are those of one token's log-probability, in nats: 95th percentile and largest.
    """

    tokens: int
    perplexity_original: float
    perplexity_built: float
    ratio: float
    ratio_low: float
    ratio_high: float
    difference_p95: float
    difference_max: float

    def failures(self, gate: Gate) -> list[str]:
        most = gate.max_perplexity_ratio
        if 1 / most <= self.ratio <= most:
            return []
        return [self.too_far("above" if self.ratio > most else "below 1 over", gate)]

    def too_far(self, side: str, gate: Gate) -> str:
        return (
            f"perplexity {self.perplexity_built:.4f} is {self.ratio:.4f} of the original's "
            f"{self.perplexity_original:.4f}, {side} max_perplexity_ratio {gate.max_perplexity_ratio:g}"
        )

    @property
    def what(self) -> str:
        return "perplexity over that here, or the inverse,"

    @property
    def nearness(self) -> float:
        """How near it comes to the original: 1 is the same."""
        return min(self.ratio, 1 / self.ratio)

    @staticmethod
    def least(gate: Gate) -> float:
        """The nearness that the gate asks for."""
        return 1 / gate.max_perplexity_ratio


@dataclass(frozen=True, slots=True, kw_only=True)
class WriterFigures(ScoreFigures):
    """A model that writes against its original, along a row's target, or along what the original has written.

    `reference` says which. The perplexity is that of those tokens. `agreement` is the share of them before which both
    find the same token the likeliest, with its 95 % interval by Wilson. Where the original hardly prefers one to
    another, the smallest change swaps them and costs nothing: perplexity says what a change costs.
    """

    reference: str
    agreement: float
    agreement_low: float
    agreement_high: float

    def failures(self, gate: Gate) -> list[str]:
        failures = []
        if self.ratio > gate.max_perplexity_ratio:
            failures.append(self.too_far("above", gate))
        if self.agreement < gate.min_token_agreement:
            failures.append(
                f"same next token in {self.agreement:.4f} of places, below min_token_agreement "
                f"{gate.min_token_agreement:g}"
            )
        return failures

    @property
    def what(self) -> str:
        return "same next token as here"

    @property
    def nearness(self) -> float:
        """How near it comes to the original: 1 is the same."""
        return self.agreement

    @staticmethod
    def least(gate: Gate) -> float:
        """The nearness that the gate asks for."""
        return gate.min_token_agreement


def scored(built: Answered, original: Answered) -> ScoreFigures:
    """Of texts whose every token has a log-probability."""
    ours, theirs = (
        [[token["log_probability"] for token in row[0]["per_token"]] for row in answered]
        for answered in (built, original)
    )
    return _scores(ours, theirs)


def written(built: Answered, original: Answered, *, labelled: bool) -> WriterFigures:
    """Of models that were led along the same tokens."""
    ours, theirs = ([row[0] for row in answered] for answered in (built, original))
    pairs = [
        pair
        for one, other in zip(ours, theirs, strict=True)
        for pair in zip(one[IDS], other[IDS], strict=True)
    ]
    agreed = sum(one == other for one, other in pairs)
    low, high = wilson(agreed, len(pairs))
    scores = _scores(*([o[LOG_PROBABILITIES] for o in outputs] for outputs in (ours, theirs)))
    return WriterFigures(
        **asdict(scores),
        reference="labels" if labelled else "original",
        agreement=agreed / len(pairs),
        agreement_low=low,
        agreement_high=high,
    )


def _scores(ours: PerToken, theirs: PerToken) -> ScoreFigures:
    # Per row: tokens, and what the original and the built one lose on them.
    sums = np.array([(len(a), -sum(a), -sum(b)) for a, b in zip(theirs, ours, strict=True)])
    tokens, before, after = sums.sum(axis=0)
    resampled = bootstrap_counts(len(sums)) @ sums
    ratios = np.exp((resampled[:, 2] - resampled[:, 1]) / np.maximum(resampled[:, 0], 1))
    low, high = np.percentile(ratios, [2.5, 97.5])
    apart = np.abs(np.concatenate([np.subtract(a, b) for a, b in zip(theirs, ours, strict=True)]))
    return ScoreFigures(
        tokens=int(tokens),
        perplexity_original=float(np.exp(before / tokens)),
        perplexity_built=float(np.exp(after / tokens)),
        ratio=float(np.exp((after - before) / tokens)),
        ratio_low=float(low),
        ratio_high=float(high),
        difference_p95=float(np.percentile(apart, 95)),
        difference_max=float(apart.max()),
    )
