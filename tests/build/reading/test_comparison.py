"""Rounding is told from misreading: by the margin of an answer that differs, and by a tolerance where numbers do."""

from typing import Any

import pytest

from build.evaluation.teacher_forcing import IDS, LOG_PROBABILITIES
from build.reading.comparison import MARGIN, TOLERANCE, VECTOR, differences
from contracts.tasks import Task

NEAR, FAR = MARGIN / 2, MARGIN * 2


def scored(**scores: float) -> list[dict[str, Any]]:
    return [{"label": label, "score": score} for label, score in scores.items()]


def allowed(task: Task, ours: Any, theirs: Any, margins: Any) -> bool:
    return differences(task, [ours], [theirs], [margins]).allowed


def labels(**scores: float) -> dict[str, Any]:
    top = sorted(scored(**scores), key=lambda each: -each["score"])
    return {**top[0], "top": top}


@pytest.mark.parametrize(("margin", "fine"), [(NEAR, True), (FAR, False)])
def test_another_label_is_allowed_in_a_near_tie_alone(margin: float, fine: bool) -> None:
    ours, theirs = labels(good=0.5, bad=0.4999), labels(bad=0.5, good=0.4999)
    found = {"scores": theirs["top"], "margin": margin, "labels": {}}
    assert allowed(Task.TEXT_CLASSIFICATION, ours, theirs, found) is fine
    assert differences(Task.TEXT_CLASSIFICATION, [ours], [theirs], [found]).margin == margin


def test_scores_of_labels_that_are_not_the_best_count_too() -> None:
    theirs = labels(good=0.6, bad=0.3, fair=0.1)
    found = {"scores": theirs["top"], "margin": 1.0, "labels": {}}
    assert allowed(Task.TEXT_CLASSIFICATION, labels(good=0.6, bad=0.3, fair=0.1), theirs, found)
    assert not allowed(Task.TEXT_CLASSIFICATION, labels(good=0.6, bad=0.1, fair=0.3), theirs, found)
    # Other names are no near tie.
    other = labels(good=0.6, bad=0.3, so_so=0.1)
    assert not allowed(Task.TEXT_CLASSIFICATION, other, theirs, found)


@pytest.mark.parametrize(("margin", "fine"), [(NEAR, True), (FAR, False)])
def test_a_label_of_several_is_judged_by_its_own_margin(margin: float, fine: bool) -> None:
    scores = {"good": 0.9, "bad": 0.5}
    ours = {**labels(**scores), "labels": scored(good=0.9)}
    theirs = {**labels(**scores), "labels": scored(good=0.9, bad=0.5)}
    found = {"scores": theirs["top"], "margin": 2.0, "labels": {"good": 2.0, "bad": margin}}
    assert allowed(Task.TEXT_CLASSIFICATION, ours, theirs, found) is fine


def entity(start: int, end: int, label: str) -> dict[str, Any]:
    return {"start": start, "end": end, "label": label, "score": 0.9}


@pytest.mark.parametrize(("margin", "fine"), [(NEAR, True), (FAR, False)])
def test_an_entity_is_judged_by_the_tokens_within_it(margin: float, fine: bool) -> None:
    ours, theirs = {"entities": [entity(0, 3, "PER")]}, {"entities": [entity(0, 3, "LOC")]}
    # A near tie elsewhere in the text excuses nothing here.
    found = {"tokens": [(0, 3, margin), (4, 9, NEAR)]}
    assert allowed(Task.TOKEN_CLASSIFICATION, ours, theirs, found) is fine
    assert not allowed(Task.TOKEN_CLASSIFICATION, ours, theirs, {"tokens": []})


@pytest.mark.parametrize(
    ("apart", "fine"), [(0.0, True), (0.9 * TOLERANCE, True), (1.1 * TOLERANCE, False)]
)
def test_a_number_may_be_as_far_apart_as_rounding_takes_it(apart: float, fine: bool) -> None:
    ours, theirs = {"score": 0.5 + apart, "rank": 1}, {"score": 0.5, "rank": 1}
    assert allowed(Task.TEXT_RANKING, ours, theirs, {"logit": 0.0}) is fine


def test_a_number_that_is_not_finite_is_never_near() -> None:
    ours, theirs = {"score": float("nan"), "rank": 1}, {"score": 0.5, "rank": 1}
    assert not allowed(Task.TEXT_RANKING, ours, theirs, {"logit": 0.0})


def test_texts_that_change_places_are_judged_by_their_own_scores() -> None:
    def ranks(*order: int) -> list[dict[str, Any]]:
        return [{"score": 0.5, "rank": rank} for rank in order]

    def fine(*logits: float) -> bool:
        margins = [{"logit": logit} for logit in logits]
        return differences(Task.TEXT_RANKING, ranks(1, 2, 3), ranks(2, 1, 3), margins).allowed

    assert fine(1.0, 1.0 + NEAR, 0.0)
    assert not fine(1.0, 1.0 + FAR, 0.0)


@pytest.mark.parametrize(
    ("ours", "fine"),
    [
        ([0.6, 0.8], True),
        ([0.6 + VECTOR / 2, 0.8], True),
        ([0.6 + 3 * VECTOR, 0.8], False),
        # The same direction at another length: it was not normalised.
        ([6.0, 8.0], False),
        ([0.0, 0.0], False),
        ([0.6, 0.8, 0.0], False),
    ],
)
def test_vectors_are_compared_place_by_place(ours: list[float], fine: bool) -> None:
    theirs = {"embedding": [0.6, 0.8]}
    assert allowed(Task.FEATURE_EXTRACTION, {"embedding": ours}, theirs, {}) is fine


def test_masks_are_judged_one_by_one() -> None:
    def masks(*tokens: str) -> dict[str, Any]:
        return {"masks": [{"token": t, "score": 0.5, "top": scored(t=0.5)} for t in tokens]}

    def fine(*margins: float) -> bool:
        return allowed(Task.FILL_MASK, masks("a", "b"), masks("a", "c"), {"masks": margins})

    assert fine(FAR, NEAR)
    assert not fine(NEAR, FAR)
    assert not allowed(Task.FILL_MASK, masks("a"), masks("a", "b"), {"masks": [NEAR, NEAR]})


def generated(
    ids: list[int], scores: list[float], differs_at: int | None, **own: Any
) -> dict[str, Any]:
    settings = {"new_tokens": 64, "max_new_tokens": 512, "sampled": None, **own}
    return {IDS: ids, LOG_PROBABILITIES: scores, "differs_at": differs_at, **settings}


def of_generated(**own: Any) -> dict[str, Any]:
    known = {"margins": [FAR, NEAR], "forced_margins": [FAR, NEAR], "generated": [1, 2]}
    return {**known, "new_tokens": None, "sampled": None, **own}


@pytest.mark.parametrize(
    ("ours", "fine"),
    [
        (generated([1, 2], [-1.0, -2.0], None), True),
        (generated([1, 2], [-1.0, -2.1], None), False),
        (generated([1, 3], [-1.0, -2.0], None), True),
        (generated([3, 2], [-1.0, -2.0], None), False),
        (generated([1, 2], [-1.0, -2.0], 0), False),
        (generated([1, 2], [-1.0, -2.0], 1), True),
        # The tokens are the same and the text is not: it was decoded otherwise.
        (generated([1, 2], [-1.0, -2.0], 2), False),
        (generated([1], [-1.0], None), False),
    ],
)
def test_text_is_judged_by_the_first_token_that_differs(ours: dict[str, Any], fine: bool) -> None:
    theirs = {IDS: [1, 2], LOG_PROBABILITIES: [-1.0, -2.0]}
    assert allowed(Task.TEXT_GENERATION, ours, theirs, of_generated()) is fine


@pytest.mark.parametrize(
    ("ours", "theirs", "fine"),
    [
        ({"new_tokens": 5}, {"new_tokens": 5}, True),
        ({"new_tokens": 64}, {"new_tokens": 5}, False),
        ({"new_tokens": 64}, {}, True),
        # Requests may ask for no more than our own limit.
        ({"new_tokens": 64, "max_new_tokens": 64}, {"new_tokens": 900}, True),
        ({"sampled": [0.5, 0.5, 0.0]}, {"sampled": [[0, 0.5], [1, 0.5]]}, True),
        ({"sampled": [0.4, 0.6, 0.0]}, {"sampled": [[0, 0.5], [1, 0.5]]}, False),
        ({}, {"sampled": [[0, 0.5], [1, 0.5]]}, False),
        ({"sampled": [0.5, 0.5, 0.0]}, {}, False),
        # One token on the other side of a limit, and the rest as it was.
        ({"sampled": [0.4, 0.4, 0.2]}, {"sampled": [[0, 0.5], [1, 0.5]]}, True),
        ({"sampled": [0.5, 0.3, 0.2]}, {"sampled": [[0, 0.5], [1, 0.5]]}, False),
        ({"sampled": [0.25] * 4}, {"sampled": [[0, 0.5], [1, 0.5]]}, False),
        # Of many tokens the library tells the likeliest alone.
        ({"sampled": [0.5, 0.2, 0.2, 0.1]}, {"sampled": [[0, 0.5], [1, 0.2]]}, True),
        ({"sampled": [0.7, 0.1, 0.1, 0.1]}, {"sampled": [[0, 0.5], [1, 0.2]]}, False),
    ],
    ids=str,
)
def test_a_model_s_own_length_and_sampling_are_those_of_its_library(
    ours: dict[str, Any], theirs: dict[str, Any], fine: bool
) -> None:
    right = {IDS: [1, 2], LOG_PROBABILITIES: [-1.0, -2.0]}
    found = generated([1, 2], [-1.0, -2.0], None, **ours)
    assert allowed(Task.TEXT_GENERATION, found, right, of_generated(**theirs)) is fine


def test_a_log_probability_may_be_off_by_a_share_of_itself() -> None:
    def text(score: float, token: str = "a") -> dict[str, Any]:
        entry = {"token": token, "start": 0, "end": 1, "log_probability": score}
        return {"per_token": [entry]}

    task = Task.LANGUAGE_MODEL_SCORING
    assert allowed(task, text(-20.0), text(-20.01), {})
    assert not allowed(task, text(-20.0), text(-20.1), {})
    assert not allowed(task, text(-20.0), text(-20.0, "b"), {})


def test_a_row_with_an_answer_too_many_is_never_the_same() -> None:
    one = labels(good=0.6, bad=0.4)
    found = {"scores": one["top"], "margin": NEAR, "labels": {}}
    assert not differences(Task.TEXT_CLASSIFICATION, [one, one], [one], [found]).allowed
