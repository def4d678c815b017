"""Beam search: the likeliest of several continuations that are kept side by side, as transformers searches for it.

Each beam is a row of one batch, so a step of all beams is one run of the decoder.
https://github.com/huggingface/transformers/blob/v5.24.0/src/transformers/generation/utils.py (`_beam_search`)
"""

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from functions.inference.decoder import Cache, DecoderLike
from functions.inference.logits_processors import TokenHistory, process
from functions.inference.sampling import check_finite

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Scores = NDArray[np.float64]

# The keys of generation_config.json that only a search with several beams looks at.
BEAMS, PENALTY, STOPPING, NORMALISED = (
    "num_beams",
    "length_penalty",
    "early_stopping",
    "renormalize_logits",
)
KEYS = (BEAMS, PENALTY, STOPPING, NORMALISED)
# What transformers adds to the score of a beam that must not be chosen.
BANNED = -1e9
NEVER = "never"


@dataclass(frozen=True, slots=True, kw_only=True)
class BeamSettings:
    """The settings of a search: the number of beams, and how a finished text's score depends on its length.

    The sum of the log-probabilities is divided by the number of tokens to the power of `length_penalty`.
    `early_stopping` is whether the search ends once as many texts have ended as there are beams; otherwise it goes on
    until no beam is likely to become better, by its score at its own length or, with "never", at the greatest one.
    `normalised` makes a token's probabilities sum to 1 again after what `processors` ban.
    """

    beams: int
    length_penalty: float = 1.0
    early_stopping: bool | str = False
    normalised: bool = False

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> Self | None:
        """Return the settings among a model's own; None where it searches with one beam."""
        if values.get(BEAMS, 1) < 2:
            return None
        return cls(
            beams=int(values[BEAMS]),
            length_penalty=float(values.get(PENALTY, 1.0)),
            early_stopping=values.get(STOPPING, False),
            normalised=bool(values.get(NORMALISED, False)),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Beam:
    """A text so far: its tokens behind the prompt, its score, and whether it has ended.

    The score of an ended text is that of its length; of another, the sum of its log-probabilities, which
    `log_probability` stays. `row` is the row of the batch that it continues.
    """

    tokens: tuple[int, ...] = ()
    score: float = BANNED
    ended: bool = False
    row: int = 0
    log_probability: float = BANNED


@dataclass(frozen=True, slots=True, kw_only=True)
class Round:
    """The beams after one more token, each kind with the best first, and whether the search is over."""

    running: tuple[Beam, ...]
    ended: tuple[Beam, ...]
    improvable: bool = True
    over: bool = False

    @property
    def best(self) -> Beam:
        """Return the best text that has ended, or else the best beam."""
        return self.ended[0] if self.ended[0].ended else self.running[0]


@dataclass(frozen=True, slots=True, kw_only=True)
class BeamSearch:
    """The search for one text; `processors` change the scores of tokens as they do without beams."""

    settings: BeamSettings
    processors: Mapping[str, Any]
    history: TokenHistory

    def rounds(self, decoder: DecoderLike, cache: Cache, deadline: float) -> Iterator[Round]:
        """Yield the beams after each token, until the search is over or the clock `time.monotonic` passes `deadline`.

        A step begins by the deadline, so there is no round at all where that has passed.
        """
        beams = self.settings.beams
        if time.monotonic() > deadline:
            return
        logits, cache = decoder.run(self.history.prompt, cache)
        cache = decoder.select(cache, [0] * beams)
        # The first beam alone counts, as all begin alike.
        running = (Beam(score=0.0), *[Beam()] * (beams - 1))
        found = self._round(
            np.repeat(logits[None], beams, axis=0), running, (Beam(),) * beams, True
        )
        yield found
        while not found.over and time.monotonic() <= deadline:
            cache = decoder.select(cache, [beam.row for beam in found.running])
            rows, cache = decoder.run_rows([beam.tokens[-1] for beam in found.running], cache)
            found = self._round(rows, found.running, found.ended, found.improvable)
            yield found

    def _round(
        self,
        logits: "NDArray[np.float32]",
        running: Sequence[Beam],
        ended: Sequence[Beam],
        improvable: bool,
    ) -> Round:
        """Return the beams after one more token, given the logits [beams, vocabulary] behind each."""
        beams, length = self.settings.beams, len(running[0].tokens) + 1
        best = self._continuations(logits, running)
        # Those that have ended give way to the next.
        open_ = [replace(b, score=b.score + BANNED) if b.ended else b for b in best]
        ahead = _best(open_, beams)
        full = self.settings.early_stopping is True and all(beam.ended for beam in ended)
        scale = length**self.settings.length_penalty
        closed = [
            replace(
                beam,
                ended=beam.ended and place < beams,
                score=beam.score / scale
                + BANNED * (full + (not improvable) + (not beam.ended or place >= beams)),
            )
            for place, beam in enumerate(best)
        ]
        done = _best([*ended, *closed], beams)
        improvable = improvable and self._can_improve(ahead[0].score, done, length)
        stopped = self.settings.early_stopping is True and all(beam.ended for beam in done)
        over = not improvable or stopped or all(beam.ended for beam in best)
        return Round(running=ahead, ended=done, improvable=improvable, over=over)

    def _continuations(
        self, logits: "NDArray[np.float32]", running: Sequence[Beam]
    ) -> tuple[Beam, ...]:
        """Return the best continuations of all beams by one token, so many that enough of them have not ended."""
        check_finite(logits)
        totals = np.stack(
            [
                self._scores(row, beam) + beam.score
                for row, beam in zip(logits, running, strict=True)
            ]
        )
        ends, vocabulary = self.history.ends, totals.shape[1]
        last = len(running[0].tokens) + 1 == self.history.max_new_tokens
        count = min(max(2, 1 + len(ends)) * self.settings.beams, totals.size)
        flat = totals.ravel()
        places = np.argpartition(-flat, count - 1)[:count]
        found = []
        for place in places[np.argsort(-flat[places], kind="stable")].tolist():
            row, token = divmod(place, vocabulary)
            tokens = (*running[row].tokens, token)
            ended = last or token in ends
            score = float(flat[place])
            found.append(
                Beam(tokens=tokens, score=score, ended=ended, row=row, log_probability=score)
            )
        return tuple(found)

    def _scores(self, logits: "NDArray[np.float32]", beam: Beam) -> "Scores":
        """Return the log-probability of each token behind a beam, with what the model's own settings change."""
        history = replace(self.history, generated=list(beam.tokens))
        scores = process(_log_softmax(logits.astype(np.float64)), self.processors, history)
        return _log_softmax(scores) if self.settings.normalised else scores

    def _can_improve(self, best: float, ended: Sequence[Beam], length: int) -> bool:
        """Return whether the best beam, at the length that is assumed, is better than the worst text that has ended."""
        penalty = self.settings.length_penalty
        if self.settings.early_stopping == NEVER and penalty > 0:
            length = self.history.max_new_tokens
        worst = min(beam.score if beam.ended else BANNED for beam in ended)
        return bool(best / length**penalty > worst)


def _best(beams: Sequence[Beam], count: int) -> tuple[Beam, ...]:
    return tuple(sorted(beams, key=lambda beam: -beam.score)[:count])


def _log_softmax(scores: "Scores") -> "Scores":
    shifted = scores - scores.max()
    normal: Scores = shifted - np.log(np.exp(shifted).sum())
    return normal
