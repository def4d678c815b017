"""A proof's cases hold the golden rows as they are, and requests of every kind that a function has to refuse."""

import json
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from contracts.http_errors import InvalidInput
from contracts.prediction import PredictRequest, parse_request
from contracts.tasks import Task
from functions.inference.engine import Engine
from images.slimming.cases import MALFORMED, cases
from tests.fixtures.models.tiny import Tiny, artefact

ROWS = [{"inputs": [text], "parameters": {}} for text in ("lovely", "awful")]


def documents(task: Task, rows: list[dict[str, Any]]) -> list[Any]:
    [of_model, *_] = cases(task, rows)
    return [json.loads(text) for text in of_model.payloads[: -len(MALFORMED)]]


@pytest.mark.parametrize("task", list(Task))
def test_every_request_of_what_samples_has_a_seed_and_of_others_has_none(task: Task) -> None:
    seeds = {
        "seed" in document["parameters"]
        for document in documents(task, ROWS)
        if isinstance(document, dict) and isinstance(document.get("parameters"), dict)
    }
    assert seeds == {task in (Task.TEXT_GENERATION, Task.TEXT2TEXT_GENERATION)}


def test_golden_rows_come_first_as_they_are() -> None:
    assert documents(Task.TEXT_CLASSIFICATION, ROWS)[:2] == ROWS
    sampled = [{"inputs": ["a"], "parameters": {"seed": 1, "temperature": 2}}]
    assert documents(Task.TEXT_GENERATION, sampled)[0] == sampled[0]


def test_a_function_answers_some_of_the_requests_and_refuses_others_for_many_reasons(
    tmp_path: Path,
) -> None:
    engine = Engine.load(artefact(tmp_path / "tiny", Tiny()))
    engine = replace(engine, max_inputs=64)
    found: Counter[str] = Counter()
    for document in documents(Task.TEXT_CLASSIFICATION, ROWS):
        try:
            request: PredictRequest = parse_request(document)
            engine.predict(request)
        except InvalidInput as error:
            found[error.problems[0].detail[:12] if error.problems else "whole"] += 1
        except Exception as error:
            found[type(error).__name__] += 1
        else:
            found["answered"] += 1
    assert found["answered"] >= 8
    assert found["TooLarge"] == 1
    assert len(found) >= 6


def test_malformed_bytes_are_no_json_or_have_no_value_that_is_sent() -> None:
    for payload in MALFORMED:
        with pytest.raises((ValueError, RecursionError)):
            json.loads(payload, parse_constant=_refused, parse_float=_refused)


def _refused(text: str) -> Any:
    raise ValueError(text)


def test_a_model_that_takes_chats_is_asked_some_whatever_its_golden_rows_are() -> None:
    [of_model, *_] = cases(Task.TEXT_GENERATION, ROWS, chat=True)
    added = [
        json.loads(text)
        for text in of_model.payloads[: -len(MALFORMED)]
        if json.loads(text) not in documents(Task.TEXT_GENERATION, ROWS)
    ]
    assert len(added) == 3
    for document in added:
        request = parse_request(document)
        assert "messages" in request.inputs[0]
        assert request.parameters["max_new_tokens"] == 4
