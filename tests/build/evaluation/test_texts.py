"""Generated texts are compared with the right ones by what they say, their words, and how far they go together."""

import numpy as np
import pytest

from build.cascade.answers import is_right, metric_of
from build.evaluation.rows import Row
from build.evaluation.texts import EXACT_MATCH, common_prefix, compare_texts, overlap
from contracts.prediction import PredictRequest
from contracts.tasks import WRITING_TASKS, Task


@pytest.mark.parametrize(
    ("text", "right", "same"),
    [
        (" The Answer, is: 42. ", "answer is 42", True),
        ("42", "the 42!", True),
        ("41", "42", False),
        ("answer 42", "answer is 42", False),
        # Nothing is left of these without punctuation.
        ("!", "?", False),
        ("-> ", "->", True),
        ("", "a word", False),
    ],
)
def test_texts_say_the_same_without_case_punctuation_and_articles(
    text: str, right: str, same: bool
) -> None:
    row = Row(request=PredictRequest(inputs=("x",)), answer=right)
    assert is_right(EXACT_MATCH, [{"generated_text": text}], row) is same


def test_every_task_that_writes_is_right_by_what_it_says_and_vectors_by_nothing() -> None:
    assert [metric_of(task) for task in WRITING_TASKS] == [EXACT_MATCH, EXACT_MATCH]
    assert metric_of(Task.FEATURE_EXTRACTION) is None
    accuracy = metric_of(Task.TEXT_CLASSIFICATION)
    assert accuracy
    assert accuracy.name == "accuracy"


@pytest.mark.parametrize(
    ("text", "right", "f1", "prefix"),
    [
        ("one two three four", "one two three four", 1.0, 1.0),
        ("one two five four", "one two three four", 0.75, 0.5),
        ("four three two one", "one two three four", 1.0, 0.0),
        ("one two three four five six", "one two three four", 0.8, 1.0),
        ("one", "one two three four", 0.4, 0.25),
        ("one one", "one two", 0.5, 0.5),
        ("x", "y", 0.0, 0.0),
    ],
)
def test_words_in_common_and_the_same_from_the_beginning(
    text: str, right: str, f1: float, prefix: float
) -> None:
    assert overlap(text.split(), right.split()) == pytest.approx(f1)
    assert common_prefix(text.split(), right.split()) == prefix


def test_the_figures_are_means_over_texts_with_their_intervals() -> None:
    right = ["one two three four"] * 40
    figures = compare_texts([*right[:30], *["one two x y"] * 10], right)
    assert (figures.texts, figures.exact) == (40, 0.75)
    assert figures.overlap == figures.prefix == pytest.approx((30 + 10 * 0.5) / 40)
    assert figures.exact_low < 0.75 < figures.exact_high
    # Each value is 1 or 0.5, so that the interval is about 1.96 standard errors to both sides.
    error = float(np.std([1.0] * 30 + [0.5] * 10) / 40**0.5)
    assert figures.overlap_high - figures.overlap == pytest.approx(1.96 * error, rel=0.15)
    assert figures.overlap - figures.overlap_low == pytest.approx(1.96 * error, rel=0.15)


def test_texts_that_are_all_right_have_no_interval_but_that_of_their_share() -> None:
    figures = compare_texts(["a b"] * 5, ["A, b"] * 5)
    assert (figures.exact, figures.overlap_low, figures.prefix_high) == (1.0, 1.0, 1.0)
    assert figures.exact_low == pytest.approx(0.566, abs=1e-3)
