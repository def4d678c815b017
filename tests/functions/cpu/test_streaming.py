"""The function of a model that writes, in a process under AWS's client: streams, and whole answers beside."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from contracts.http_errors import InvalidInput, ModelFailed, TooLarge
from contracts.prediction import TierAnswer
from contracts.streaming import NDJSON, Delta, read_stream
from images.runtime_api import Answer, RuntimeApi
from tests.fixtures.models.writers.counting import writer
from tests.fixtures.paths import ROOT
from tests.functions.runtime.looping import answer_of, chunks_of, send

pytestmark = pytest.mark.slow

REQUEST: dict[str, Any] = {"inputs": ["one", " eight"], "parameters": {"stop": [" seven"]}}


@contextmanager
def running(api: RuntimeApi, place: Path, **environment: str) -> Iterator[RuntimeApi]:
    """Run a function that takes two inputs at most."""
    with (place / "log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "awslambdaric", "functions.cpu.streaming.handler"],
            env={
                "PATH": os.environ["PATH"],
                "PYTHONPATH": str(ROOT),
                "AWS_LAMBDA_RUNTIME_API": api.address,
                "TURNOUT_MODEL_DIR": str(writer(place / "model")),
                "TURNOUT_MAX_INPUTS": "2",
                **environment,
            },
            stdout=log,
            stderr=log,
        )
    try:
        yield api
    finally:
        process.kill()
        process.wait()
        api.close()
    assert "Traceback" not in (place / "log").read_text("utf-8")


@pytest.fixture(scope="module")
def function(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RuntimeApi]:
    with running(RuntimeApi(), tmp_path_factory.mktemp("function")) as api:
        yield api


def answered(function: RuntimeApi, event: object) -> Answer:
    send(function, event)
    return answer_of(function)


def lines_of(answer: Answer) -> list[bytes]:
    chunks, end = chunks_of(answer)
    assert (answer.content_type, end.error, end.cut) == (NDJSON, b"", False)
    return chunks


def test_a_stream_has_the_text_of_the_whole_answer(function: RuntimeApi) -> None:
    whole = answered(function, REQUEST)
    assert whole.chunks is None
    wanted = TierAnswer.from_wire(json.loads(whole.payload))
    *deltas, answer = read_stream(lines_of(answered(function, {**REQUEST, "stream": True})))
    assert deltas == [
        *(Delta(index=0, text=f" {n}") for n in ("two", "three", "four", "five", "six")),
        *(Delta(index=1, text=f" {n}") for n in ("nine", "ten")),
    ]
    assert isinstance(answer, TierAnswer)
    assert replace(answer, elapsed_ms=0) == replace(wanted, elapsed_ms=0)
    assert [output["finish_reason"] for output in answer.outputs] == ["stop_sequence", "eos_token"]


def test_each_line_is_a_chunk(function: RuntimeApi) -> None:
    lines = lines_of(answered(function, {**REQUEST, "stream": True}))
    assert all(line.endswith(b"\n") and line.count(b"\n") == 1 for line in lines)
    assert len(lines) == 8


@pytest.mark.parametrize(
    ("event", "error", "words"),
    [
        ({"inputs": [], "stream": True}, InvalidInput, "empty"),
        ({"inputs": ["one"], "stream": "yes"}, InvalidInput, "true or false"),
        ({"inputs": ["one"] * 3, "stream": True}, TooLarge, "3 inputs"),
        ({"inputs": "one", "parameters": {"top_k": -1}, "stream": True}, InvalidInput, "top_k"),
    ],
)
def test_a_stream_that_is_refused_is_its_problem(
    function: RuntimeApi, event: object, error: type[Exception], words: str
) -> None:
    lines = lines_of(answered(function, event))
    assert len(lines) == 1
    with pytest.raises(error, match=words):
        list(read_stream(lines))


def test_it_answers_whole_what_asks_for_no_stream(function: RuntimeApi) -> None:
    events: list[object] = [{"inputs": []}, {"inputs": ["one"], "stream": False}, ["no object"]]
    for event in events:
        answer = answered(function, event)
        assert answer.chunks is None
        assert json.loads(answer.payload)["problem"]["code"] == "invalid_input"


class Snapshotting(RuntimeApi):
    """A Runtime API that notes when the snapshot is taken, and whether an invocation was asked for before."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[bool] = []

    def restore(self) -> None:
        self.found.append(self.ready.is_set())


def test_it_is_snapshotted_before_it_asks_for_an_event(tmp_path: Path) -> None:
    api = Snapshotting()
    with running(api, tmp_path, AWS_LAMBDA_INITIALIZATION_TYPE="snap-start"):
        lines = lines_of(answered(api, {**REQUEST, "stream": True}))
    assert len(lines) == 8
    assert api.found == [False]


def test_no_word_of_an_input_is_in_a_problem_or_the_log(tmp_path: Path) -> None:
    """Show it of a model that fails while it writes; a start without a Runtime API takes nothing over."""
    folder = writer(tmp_path / "model")
    code = """
import json, sys
from functions.cpu import handler, streaming

class Failing:
    def stream(self, request):
        raise RuntimeError(request.inputs[0])

handler.ENGINE = Failing()
response = streaming.handler(json.load(sys.stdin), None)
sys.stdout.buffer.write(b"".join(response.chunks))
"""
    done = subprocess.run(
        [sys.executable, "-c", code],
        input=json.dumps({"inputs": ["a secret"], "stream": True}).encode(),
        env={"PYTHONPATH": str(ROOT), "TURNOUT_MODEL_DIR": str(folder)},
        capture_output=True,
        check=True,
    )
    problem = json.loads(done.stdout)["problem"]
    assert (problem["code"], problem["status"]) == ("internal_error", 500)
    assert b"secret" not in done.stdout + done.stderr
    assert json.loads(done.stderr)["error"] == "RuntimeError"
    with pytest.raises(ModelFailed):
        list(read_stream([done.stdout[:-3]]))
