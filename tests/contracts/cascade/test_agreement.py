"""Two tiers agree where they say the same, whatever their scores are."""

from collections.abc import Mapping
from typing import Any

import pytest

from contracts.cascade.agreement import SAID, disagreements, words_written
from contracts.cascade.confidence import CONFIDENCES
from contracts.tasks import Task

ADA = {"start": 0, "end": 3, "label": "PER", "score": 0.9}


@pytest.mark.parametrize(
    ("task", "one", "other", "expected"),
    [
        (Task.TEXT_CLASSIFICATION, [{"label": "a", "score": 0.8}, {"label": "a"}],
         [{"label": "a", "score": 0.6}, {"label": "b"}], (False, True)),
        (Task.ZERO_SHOT_CLASSIFICATION, [{"label": "a"}], [{"label": "b"}], (True,)),
        (Task.TOKEN_CLASSIFICATION, [{"entities": [ADA]}], [{"entities": [{**ADA, "score": 0.1}]}], (False,)),
        (Task.TOKEN_CLASSIFICATION, [{"entities": [ADA]}], [{"entities": [{**ADA, "end": 4}]}], (True,)),
        (Task.TOKEN_CLASSIFICATION, [{"entities": [ADA]}], [{"entities": []}], (True,)),
        (Task.QUESTION_ANSWERING, [{"answer": "The Turnout."}], [{"answer": "turnout"}], (False,)),
        (Task.QUESTION_ANSWERING, [{"answer": "noon"}], [{"answer": "at noon"}], (True,)),
        (Task.TEXT_RANKING, [{"score": 0.9}, {"score": 0.2}, {"score": 0.1}],
         [{"score": 0.7}, {"score": 0.2}, {"score": 0.4}], (False,)),
        (Task.TEXT_RANKING, [{"score": 0.9}, {"score": 0.2}], [{"score": 0.1}, {"score": 0.2}], (True,)),
        (Task.TEXT_GENERATION, [{"generated_text": " The Train."}, {"generated_text": "!"}],
         [{"generated_text": "train"}, {"generated_text": "?"}], (False, True)),
    ],
    ids=[
        "labels", "zero-shot", "entities", "another end", "no entity", "normalised", "more words",
        "another order behind the best", "another best", "texts",
    ],
)  # fmt: skip
def test_each_task_compares_what_is_said(
    task: Task,
    one: list[Mapping[str, Any]],
    other: list[Mapping[str, Any]],
    expected: tuple[bool, ...],
) -> None:
    assert disagreements(task, one, other) == expected


def test_every_task_with_a_confidence_is_compared() -> None:
    assert set(SAID) == set(CONFIDENCES)


def test_a_text_of_punctuation_alone_is_compared_as_it_is() -> None:
    assert words_written(" The Train, again! ") == ["train", "again"]
    assert (words_written(" -> "), words_written(" ")) == (["->"], [""])
