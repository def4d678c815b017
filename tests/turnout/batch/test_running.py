"""Every row has exactly one answer, whatever happens on the way."""

import json
import os
import threading
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.turnout.batch.endpoint import Said, Scripted, answer, problem, serving
from tests.turnout.batch.test_rows import file_of
from turnout.batch.answers_file import BatchError, opened, partial
from turnout.batch.rows import RowsFile
from turnout.batch.running import Batch, Told, run

TEXTS = [f"text {n}" for n in range(50)]
QUIET = Told(begun=lambda done: None, answered=lambda answer: None, say=lambda line: None)


def batch(service: Scripted, folder: Path, *rows: Any, **changes: Any) -> Batch:
    found = RowsFile.check(file_of(folder, *(rows or TEXTS)))
    options = {"allow_degraded": False}
    made = Batch(
        endpoint=service.endpoint,
        model="m",
        rows=found,
        out=folder / "answers.jsonl",
        options=options,
    )
    return replace(made, **changes)


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def test_the_answers_are_in_the_order_of_the_rows(tmp_path: Path) -> None:
    with serving(Scripted(), slow_s=0.005) as service:
        asked = batch(service, tmp_path)
        assert run(asked, QUIET) == {"cpu": 50}
    assert [one["output"]["label"] for one in lines(asked.out)] == [t.upper() for t in TEXTS]
    assert [one["line"] for one in lines(asked.out)] == [*range(1, 51)]
    assert lines(asked.out)[0] == {
        "line": 1,
        "output": {"label": "TEXT 0", "tokens": 1},
        "version": "v1",
        "tier": "cpu",
    }
    assert Counter(service.sent) == Counter(TEXTS)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["answers.jsonl", "rows.jsonl"]
    # Few connections, that are kept, and no more requests at once than were asked for.
    assert service.most <= asked.concurrency
    assert len(service.connections) <= asked.concurrency
    assert {document["path"] for document in service.seen} == {"/v1/models/m/predict"}
    assert all(document["allow_degraded"] is False for document in service.seen)


def test_an_id_goes_along_and_parameters_stay_with_their_row(tmp_path: Path) -> None:
    rows = [{"input": "a", "id": {"n": 1}}, {"input": "b", "parameters": {"top_k": 2}, "id": 0}]
    with serving(Scripted()) as service:
        asked = batch(service, tmp_path, *rows)
        run(asked, QUIET)
    assert [one["id"] for one in lines(asked.out)] == [{"n": 1}, 0]
    sent = {
        (document["inputs"][0], json.dumps(document["parameters"])) for document in service.seen
    }
    assert sent == {("a", "{}"), ("b", '{"top_k": 2}')}


def test_of_a_request_that_is_refused_the_row_at_fault_alone_has_an_error(tmp_path: Path) -> None:
    def before(inputs: list[Any]) -> Said | None:
        return problem(422, "invalid_input", "/inputs: bad") if "text 13" in inputs else None

    with serving(Scripted(before=before)) as service:
        asked = batch(service, tmp_path)
        assert run(asked, QUIET) == {"cpu": 49, "invalid_input": 1}
    found = lines(asked.out)
    assert found[13] == {
        "line": 14,
        "error": {"status": 422, "code": "invalid_input", "detail": "422 /inputs: bad"},
    }
    assert all("output" in one for n, one in enumerate(found) if n != 13)


@pytest.mark.parametrize(
    "said",
    [
        problem(503, "tier_unavailable", "the gpu tier is waking", **{"Retry-After": "0"}),
        (429, {"message": "Too Many Requests"}, {}),
        (500, {"message": "Internal Server Error"}, {}),
        problem(502, "model_failed"),
        problem(504, "deadline_exceeded"),
    ],
    ids=["waking", "throttled", "gateway", "crash", "late"],
)
def test_what_may_succeed_later_is_asked_again(tmp_path: Path, said: Said) -> None:
    first = [said, said]

    def before(inputs: list[Any]) -> Said | None:
        return first.pop() if first else None

    heard: list[str] = []
    with serving(Scripted(before=before)) as service:
        asked = batch(service, tmp_path, "a", concurrency=1)
        assert run(asked, replace(QUIET, say=heard.append)) == {"cpu": 1}
    assert len(service.seen) == 3
    assert len(heard) == 2
    assert str(said[0]) in heard[0]


def test_a_row_that_crashes_its_model_each_time_is_given_up(tmp_path: Path) -> None:
    def before(inputs: list[Any]) -> Said | None:
        return problem(502, "model_failed") if "b" in inputs else None

    with serving(Scripted(before=before)) as service:
        asked = batch(service, tmp_path, "a", "b", size=2)
        assert run(asked, QUIET) == {"cpu": 1, "model_failed": 1}
    assert [one.get("error", {}).get("code") for one in lines(asked.out)] == [None, "model_failed"]


@pytest.mark.parametrize(
    ("said", "words"),
    [
        (problem(401, "unauthorized", "this key is not known here"), "this key is not known"),
        (problem(404, "unknown_model", "no model named 'm'"), "no model named"),
        ((200, {"hello": 1}, {}), "no endpoint of Turnout"),
        ((200, {**answer(["a"]), "outputs": []}, {}), "no endpoint of Turnout"),
    ],
    ids=["key", "model", "another service", "fewer outputs"],
)
def test_what_every_row_would_meet_ends_the_batch(tmp_path: Path, said: Said, words: str) -> None:
    with serving(Scripted(before=lambda inputs: said)) as service:
        asked = batch(service, tmp_path)
        with pytest.raises(BatchError, match=words):
            run(asked, QUIET)
    assert len(service.seen) <= asked.concurrency + 2
    assert not asked.out.exists()


def test_rows_in_front_that_wait_do_not_hold_back_what_ends_the_batch(tmp_path: Path) -> None:
    waiting = problem(503, "tier_unavailable", **{"Retry-After": "600"})

    def before(inputs: list[Any]) -> Said | None:
        return waiting if "text 0" in inputs else problem(404, "unknown_model", "no such model")

    with serving(Scripted(before=before)) as service:
        asked = batch(service, tmp_path, size=1)
        with pytest.raises(BatchError, match="no such model"):
            run(asked, QUIET)


def test_a_batch_whose_endpoint_stays_away_ends_and_says_how_it_goes_on(tmp_path: Path) -> None:
    with serving(Scripted()) as service:
        gone = batch(service, tmp_path, "a", patience_s=0.5)
    with pytest.raises(BatchError, match="does not answer.*the same command goes on"):
        run(gone, QUIET)


def test_a_batch_that_was_cut_off_goes_on_behind_its_last_whole_line(tmp_path: Path) -> None:
    count, killed = iter(range(1000)), threading.Event()

    def before(inputs: list[Any]) -> Said | None:
        # From the 20th request on the key is gone.
        return problem(401, "unauthorized") if next(count) >= 20 and not killed.is_set() else None

    with serving(Scripted(before=before)) as service:
        asked = batch(service, tmp_path, size=1)
        with pytest.raises(BatchError):
            run(asked, QUIET)
        written = partial(asked.out).read_bytes()
        done = written.count(b"\n")
        assert 0 < done < 50
        # As if the machine had stopped in the middle of a line.
        partial(asked.out).write_bytes(written + b'{"line": 21, "outp')
        killed.set()
        service.seen.clear()
        begun: list[int] = []
        assert run(asked, replace(QUIET, begun=begun.append)) == {"cpu": 50}
    assert begun == [done]
    assert Counter(service.sent) == Counter(TEXTS[done:])
    assert [one["line"] for one in lines(asked.out)] == [*range(1, 51)]


def test_answers_are_not_mixed_with_those_to_something_else(tmp_path: Path) -> None:
    with serving(Scripted(before=lambda inputs: problem(401, "unauthorized"))) as service:
        asked = batch(service, tmp_path)
        with pytest.raises(BatchError, match="refuses"):
            run(asked, QUIET)
        partial(asked.out).write_text('{"line":1,"tier":"cpu"}\n', "utf-8")
        for change in ({"model": "n"}, {"options": {"tier": "gpu"}}):
            with pytest.raises(BatchError, match=f"another {next(iter(change))}"):
                run(replace(asked, **change), QUIET)
        changed = batch(service, tmp_path, "other", "rows")
        with pytest.raises(BatchError, match="another rows"):
            run(changed, QUIET)
    asked.out.write_text("mine", "utf-8")
    with pytest.raises(BatchError, match="is there already"):
        run(asked, QUIET)
    assert asked.out.read_text("utf-8") == "mine"


def test_a_file_that_is_not_of_a_batch_is_left_alone(tmp_path: Path) -> None:
    out = tmp_path / "answers.jsonl"
    partial(out).write_text("mine\n", "utf-8")
    with pytest.raises(BatchError, match="is not of a batch"), opened(out, {"rows": "a"}):
        pass
    assert partial(out).read_text("utf-8") == "mine\n"


def test_two_runs_do_not_write_one_file(tmp_path: Path) -> None:
    out = tmp_path / "answers.jsonl"
    with opened(out, {"rows": "a"}):
        assert os.path.exists(partial(out))
        with pytest.raises(BatchError, match="another run"), opened(out, {"rows": "a"}):
            pass


def test_an_answer_names_the_tier_and_the_version_of_its_row(tmp_path: Path) -> None:
    def before(inputs: list[Any]) -> Said | None:
        body = answer(inputs)
        body["outputs"] = [{**one, "tier": "cpu"} for one in body["outputs"]]
        escalated = {"inputs": [1], "tier": "gpu", "version": "v2", "elapsed_ms": 1}
        return 200, {**body, "escalated": escalated, "reason": "escalated"}, {}

    with serving(Scripted(before=before)) as service:
        asked = batch(service, tmp_path, "a", "b")
        assert run(asked, QUIET) == {"cpu": 1, "gpu": 1}
    assert [(one["tier"], one["version"]) for one in lines(asked.out)] == [
        ("cpu", "v1"),
        ("gpu", "v2"),
    ]


def test_a_degraded_answer_is_marked(tmp_path: Path) -> None:
    def before(inputs: list[Any]) -> Said | None:
        return 200, {**answer(inputs), "degraded": True, "reason": "gpu_asleep"}, {}

    with serving(Scripted(before=before)) as service:
        asked = batch(service, tmp_path, "a")
        run(asked, QUIET)
    assert lines(asked.out)[0]["degraded"] is True
