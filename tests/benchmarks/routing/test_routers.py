"""Routers see what they may see: the text, the confidence, or everything."""

import numpy as np
import pytest

from benchmarks.routing.curves import curve
from benchmarks.routing.routers import ROUTERS, gain_of
from build.cascade.answers import Answers

COUNT = 600


def answers() -> tuple[list[str], Answers]:
    """Return rows on which the small model is wrong where the text says "hard", and does not know it."""
    draw = np.random.default_rng(4)
    hard = draw.random(COUNT) < 0.3
    texts = [f"{'hard' if one else 'easy'} question {i % 7}" for i, one in enumerate(hard)]
    return texts, Answers(
        confidences=draw.random(COUNT),
        cpu_right=~hard,
        gpu_right=draw.random(COUNT) < 0.95,
        same=~hard,
    )


def area(name: str) -> float:
    texts, found = answers()
    return curve(ROUTERS[name](texts, found), gain_of(found)).apgr.value


@pytest.mark.slow
def test_a_text_that_tells_is_enough_for_words_and_confidence_that_does_not_is_chance() -> None:
    oracle = area("oracle")
    assert oracle > 0.8
    assert area("TF-IDF, logistic regression") > 0.9
    assert 0.4 < area("cascade (confidence)") < 0.6
    assert 0.4 < area("random") < 0.6


def test_the_cascade_escalates_the_least_certain_first() -> None:
    texts, found = answers()
    urgency = ROUTERS["cascade (confidence)"](texts, found)
    assert np.argmax(urgency) == np.argmin(found.confidences)
