"""The reference for question answering answers as the pipeline that transformers 5 no longer has."""

import inspect
import json
from pathlib import Path

import pytest

from reference import question_answering
from reference.messages import Asked

FOLDER = Path(__file__).with_name("question_answering_4_57")


def test_every_answer_and_score_is_that_of_transformers_4_57() -> None:
    run = question_answering.spans(Asked(folder=str(FOLDER)))
    rows = [json.loads(line) for line in (FOLDER / "answers.jsonl").read_text("utf-8").splitlines()]
    assert len(rows) == 60
    # Contexts of several windows are among them, and answers that span pieces of words.
    assert sum(len(row["context"].split()) > 40 for row in rows) > 5
    for row in rows:
        value = {key: row[key] for key in ("question", "context")}
        (found,) = run({"inputs": [value], "parameters": row["parameters"]})
        places = [(each["answer"], each["start"], each["end"]) for each in found["spans"]]
        right = [(each["answer"], each["start"], each["end"]) for each in row["answers"]]
        assert places == right, row
        scores = [each["score"] for each in row["answers"]]
        assert [each["score"] for each in found["spans"]] == pytest.approx(scores, abs=1e-6)


def test_it_is_short_enough_to_be_checked_by_eye() -> None:
    functions = (question_answering.best_spans, question_answering.characters)
    lines = [line for f in functions for line in inspect.getsource(f).splitlines() if line.strip()]
    assert len(lines) < 40
