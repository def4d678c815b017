"""The steps of a text, one for each token: an iterator that ends with the text, and is not run on once it is closed."""

import time
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from functions.inference.beam_search import Beam, Round
from functions.inference.decoder import Cache, DecoderLike
from functions.inference.detokenizer import Detokenizer
from functions.inference.sampling import Sampler, mean_probability

# Why a text ended: text-generation-inference's names, and one of ours for the time limit.
END, STOP, LENGTH, TIME = "eos_token", "stop_sequence", "length", "time"

# Yields the text so far after each token, and returns what is known of it at its end.
Steps = Generator[Detokenizer, None, dict[str, Any]]
Result = TypeVar("Result")


@dataclass(frozen=True, slots=True, kw_only=True)
class StopCriteria:
    """The end of a text besides stop strings: a token, a number of tokens, or a time on the clock `time.monotonic`."""

    tokens: frozenset[int]
    max_new_tokens: int
    deadline: float


def generate(
    decoder: DecoderLike,
    tokens: Sequence[int],
    cache: Cache,
    sampler: Sampler,
    detokenizer: Detokenizer,
    criteria: StopCriteria,
) -> Steps:
    """Generate into the detokenizer until the text ends; return why it did, its tokens and how certain they are."""
    for count in range(1, criteria.max_new_tokens + 1):
        # A text cut short is of more use than an answer that comes too late to be sent.
        if time.monotonic() > criteria.deadline:
            return _ending(TIME, count - 1)
        logits, cache = decoder.run(tokens, cache)
        token = sampler.choose(logits)
        if token in criteria.tokens:
            return _ending(END, count, sampler.confidence)
        if detokenizer.add(token):
            return _ending(STOP, count, sampler.confidence)
        yield detokenizer
        tokens = [token]
    return _ending(LENGTH, criteria.max_new_tokens, sampler.confidence)


def generate_best(
    rounds: Iterator[Round], detokenizer: Detokenizer, criteria: StopCriteria
) -> Steps:
    """Add the best text of a search to the detokenizer; return why it ended, its tokens and how certain they are.

    Where the time runs out, that is the best one by then. Until the search is over, there is no text.
    """
    best = Beam()
    for found in rounds:
        best = found.best
        yield detokenizer
    tokens = best.tokens
    confidence = mean_probability(best.log_probability, len(tokens)) if tokens else None
    for count, token in enumerate(tokens, start=1):
        if token in criteria.tokens:
            return _ending(END, count, confidence)
        if detokenizer.add(token):
            return _ending(STOP, count, confidence)
    if len(tokens) == criteria.max_new_tokens:
        return _ending(LENGTH, len(tokens), confidence)
    return _ending(TIME, len(tokens))


def _ending(reason: str, tokens: int, confidence: float | None = None) -> dict[str, Any]:
    """Return what is known of a text at its end; one that is cut by the time has no confidence."""
    known = {} if confidence is None else {"confidence": confidence}
    return {"finish_reason": reason, "generated_tokens": tokens, **known}


def result(steps: Generator[Any, None, Result]) -> Result:
    """Run all steps; return what they return."""
    try:
        while True:
            next(steps)
    except StopIteration as end:
        found: Result = end.value
        return found
