"""A confidence is read from the outputs that are served."""

from collections.abc import Mapping
from typing import Any

import pytest

from contracts.cascade.confidence import CONFIDENCES, binding
from contracts.tasks import Task

TOP = [{"label": "a", "score": 0.7}, {"label": "b", "score": 0.3}]
ALONE = [{"label": "a", "score": 0.9}, {"label": "b", "score": 0.4}]


@pytest.mark.parametrize(
    ("task", "outputs", "parameters", "expected"),
    [
        (Task.TEXT_CLASSIFICATION, [{"label": "a", "score": 0.8}], {}, (0.8,)),
        (Task.TEXT_CLASSIFICATION, [{"label": "a", "score": 0.8, "labels": []}], {}, None),
        (Task.TOKEN_CLASSIFICATION, [{"entities": [], "score": 0.6}], {}, (0.6,)),
        (Task.QUESTION_ANSWERING, [{"answer": "x", "score": 1.0000002}], {}, (1.0,)),
        (Task.ZERO_SHOT_CLASSIFICATION, [{"score": 0.7, "top": TOP}], {}, (0.7,)),
        (Task.ZERO_SHOT_CLASSIFICATION, [{"score": 0.9, "top": ALONE}], {"multi_label": True}, (0.6,)),
        # A single label has no others to compete with.
        (Task.ZERO_SHOT_CLASSIFICATION, [{"score": 0.1, "top": [{"label": "a", "score": 0.1}]}], {}, (0.9,)),
        (Task.TEXT_RANKING, [{"score": 0.2}, {"score": 0.9}, {"score": 0.6}], {}, (0.3, 0.3, 0.3)),
        (Task.TEXT_RANKING, [{"score": 0.2}], {}, (1.0,)),
        (Task.TEXT_RANKING, [{"score": 4.0}, {"score": 2.0}], {"raw_scores": True}, None),
        (Task.TEXT_GENERATION, [{"confidence": 0.5}, {"confidence": 1}], {}, (0.5, 1.0)),
        (Task.TEXT2TEXT_GENERATION, [{"confidence": 0.5}, {"finish_reason": "time"}], {}, None),
    ],
    ids=[
        "label", "several labels", "least certain token", "span", "zero-shot", "labels by themselves",
        "one label", "ranking", "one text", "raw scores", "texts", "cut by the time",
    ],
)  # fmt: skip
def test_each_task_has_its_confidence(
    task: Task,
    outputs: list[Mapping[str, Any]],
    parameters: Mapping[str, Any],
    expected: tuple[float, ...] | None,
) -> None:
    found = CONFIDENCES[task].of(outputs, parameters)
    assert found == (expected and pytest.approx(expected))


def test_a_calibration_is_bound_to_what_changes_the_kind_of_answer() -> None:
    task = Task.ZERO_SHOT_CLASSIFICATION
    one = binding(task, {"candidate_labels": ["b", "a"], "hypothesis_template": "It is {}."})
    other = binding(task, {"hypothesis_template": "It is {}.", "candidate_labels": ["a", "b"]})
    assert one == other
    assert one != binding(task, {"candidate_labels": ["a"], "hypothesis_template": "It is {}."})
    # Of the settings of sampling none matters where nothing is sampled.
    asked = {"max_new_tokens": 8, "stop": ["b", "a"], "do_sample": False, "seed": 3}
    assert binding(Task.TEXT_GENERATION, asked) == {"max_new_tokens": 8, "stop": ["a", "b"]}
    # OpenAI's dialect names what it leaves as it is.
    asked = {"max_new_tokens": 8, "stop": [], "return_full_text": False}
    assert binding(Task.TEXT_GENERATION, asked) == {"max_new_tokens": 8}
    # How many alternatives are listed changes nothing.
    assert binding(Task.TEXT_CLASSIFICATION, {"top_k": 3}) == {}
