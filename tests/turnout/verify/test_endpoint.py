"""Pushed weights are verified where they run: every row is asked of the endpoint, and the record lifts the mark."""

import json
import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from build.evaluation.rows import read_rows
from build.tasks.registry import TASKS
from contracts.specs import Deployment, GpuSpec, ModelSpec
from contracts.tasks import Task
from stacks.weights.proved import is_proved, record_path
from tests.fixtures.paths import ROOT
from tests.fixtures.problems import assert_problems
from tests.fixtures.pushed.model import pushed, saved
from turnout.client import Reply
from turnout.verify.endpoint import (
    LOOK_S,
    PATIENCE_S,
    Wanted,
    asked_endpoint,
    verify_endpoint,
    wanted,
)
from turnout.verify.errors import VerifyFailed
from turnout.verify.record import show

ROWS = [
    {"text": "one", "target": "eins"},
    {"text": "two", "target": " zwei"},
    {"text": "three", "target": "drei"},
    {"text": "four", "target": "vier"},
]
ANSWERS = {"one": "eins", "two": "zwei ", "three": "tres", "four": "quatre"}
LOG = Console(quiet=True)


@pytest.fixture
def deployment(tmp_path: Path) -> Deployment:
    rows = tmp_path / "rows.jsonl"
    rows.write_text("".join(f"{json.dumps(row)}\n" for row in ROWS), "utf-8")
    spec = ModelSpec(
        name="chat",
        source=saved(tmp_path / "saved"),
        task=Task.TEXT_GENERATION,
        eval=rows,
        gpu=GpuSpec(instance="ml.g6.xlarge"),
    )
    pushed(spec, saved(tmp_path / "saved"), tmp_path / "out")
    return Deployment(models=(spec,))


def endpoint(version: str, asked: list[Any], sleeps: int = 0) -> Callable[[dict[str, Any]], Reply]:
    """Return an endpoint that sleeps for so many requests, and then answers."""
    left = [sleeps]

    def ask(document: dict[str, Any]) -> Reply:
        asked.append(document)
        if left[0]:
            left[0] -= 1
            return Reply(
                status=503, body={"code": "tier_unavailable"}, ms=1, headers={"Retry-After": "30"}
            )
        text = ANSWERS[document["inputs"][0]]
        body = {"version": version, "tier": "gpu", "outputs": [{"generated_text": text}]}
        return Reply(status=200, body=body, ms=1, headers={})

    return ask


def of(deployment: Deployment, out: Path, at_least: float = 0.0) -> Wanted:
    return wanted(deployment, "chat", out, at_least)


def test_rows_that_are_all_answered_lift_the_mark_of_these_very_weights(
    deployment: Deployment, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    asked: list[Any] = []
    found = of(deployment, out)
    assert not is_proved(out, found.manifest)
    record = verify_endpoint(found, endpoint(found.manifest.version, asked), out, LOG)
    # Each row, and each a second time.
    assert [body["inputs"] for body in asked[:4]] == [body["inputs"] for body in asked[4:]]
    assert [body["tier"] for body in asked] == ["gpu"] * 8
    assert asked[0]["parameters"] == {"max_new_tokens": 16, "do_sample": False}
    assert (record["holds"], record["answered"], record["compared"]) == (True, 4, 4)
    assert record["as_the_rows_say"] == record["texts"]["exact"] == 0.5
    assert record["asked_again"]["same"] == record["asked_again"]["rows"] == 4
    assert json.loads(record_path(out, "chat").read_text("utf-8")) == {
        **record,
        "interval": list(record["interval"]),
    }
    assert is_proved(out, found.manifest)
    assert not is_proved(out, replace(found.manifest, digest="0" * 64))


def test_the_report_says_what_is_proved_and_what_is_not(
    deployment: Deployment, tmp_path: Path
) -> None:
    found = of(deployment, tmp_path / "out")
    steady, times = endpoint(found.manifest.version, []), Counter[str]()

    def wavering(document: dict[str, Any]) -> Reply:
        """Answer "one" otherwise the second time, as of two tokens that are nearly as likely."""
        reply, given = steady(document), document["inputs"][0]
        times[given] += 1
        if given == "one" and times[given] == 2:
            return replace(reply, body={**reply.body, "outputs": [{"generated_text": "ein"}]})
        return reply

    record = verify_endpoint(found, wavering, tmp_path / "out", LOG)
    assert record["asked_again"] == {
        "rows": 4,
        "same": 3,
        "low": pytest.approx(0.301, abs=1e-3),
        "high": pytest.approx(0.954, abs=1e-3),
    }
    shown = Console(record=True, width=400)
    show(record, shown)
    page = (ROOT / "docs/large-models.md").read_text("utf-8")
    documented = page.split("<!-- output: verify -->\n```\n")[1].split("```")[0]
    assert shown.export_text() == documented.replace("5a460890e811", found.manifest.version)


def test_a_classifier_s_rows_are_compared_by_its_own_metric(
    deployment: Deployment, tmp_path: Path
) -> None:
    rows = tmp_path / "labels.jsonl"
    rows.write_text('{"text": "one", "label": "eins"}\n{"text": "two", "label": "zwo"}\n', "utf-8")
    found = of(deployment, tmp_path / "out")
    spec = replace(found.spec, task=Task.TEXT_CLASSIFICATION, eval=rows)
    read, _ = read_rows(rows, TASKS[spec.task].rows, None)
    steady = endpoint(found.manifest.version, [])

    def labelling(document: dict[str, Any]) -> Reply:
        label = steady(document).body["outputs"][0]["generated_text"].strip()
        body = {"version": found.manifest.version, "outputs": [{"label": label, "score": 0.9}]}
        return Reply(status=200, body=body, ms=1, headers={})

    labelled = replace(found, spec=spec, rows=read)
    record = verify_endpoint(labelled, labelling, tmp_path / "out", LOG)
    assert (record["as_the_rows_say"], record["metric"]) == (0.5, "accuracy")
    assert record["texts"] is record["asked_again"] is None


def test_a_share_that_is_not_reached_leaves_it_unproved(
    deployment: Deployment, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    found = of(deployment, out, at_least=0.8)
    record = verify_endpoint(found, endpoint(found.manifest.version, []), out, LOG)
    assert record["holds"] is False
    assert not is_proved(out, found.manifest)


def test_rows_without_targets_are_answered_and_compared_with_nothing(
    deployment: Deployment, tmp_path: Path
) -> None:
    rows = deployment.models[0].eval
    rows.write_text('{"text": "one"}\n', "utf-8")
    found = of(deployment, tmp_path / "out")
    record = verify_endpoint(found, endpoint(found.manifest.version, []), tmp_path / "out", LOG)
    assert (record["holds"], record["compared"], record["as_the_rows_say"]) == (True, 0, None)


def test_a_tier_that_wakes_is_waited_for(deployment: Deployment, tmp_path: Path) -> None:
    pauses: list[float] = []
    found = replace(of(deployment, tmp_path / "out"), pause=pauses.append)
    ask = endpoint(found.manifest.version, [], sleeps=2)
    assert verify_endpoint(found, ask, tmp_path / "out", LOG)["holds"] is True
    assert pauses == [15.0, 15.0]


@pytest.mark.parametrize(("sleeps", "woke_s"), [(0, None), (3, 300.0)])
def test_the_time_that_a_tier_took_to_wake_is_recorded(
    deployment: Deployment, tmp_path: Path, sleeps: int, woke_s: float | None
) -> None:
    now = [1000.0]

    def pause(seconds: float) -> None:
        now[0] += 100

    found = replace(of(deployment, tmp_path / "out"), pause=pause, clock=lambda: now[0])
    ask = endpoint(found.manifest.version, [], sleeps=sleeps)
    record = verify_endpoint(found, ask, tmp_path / "out", LOG)
    assert (record["woke_s"], record["instance"]) == (woke_s, "ml.g6.xlarge")


def test_rows_are_asked_side_by_side_and_reported_in_their_order(
    deployment: Deployment, tmp_path: Path
) -> None:
    found = replace(of(deployment, tmp_path / "out"), concurrency=3)
    steady = endpoint(found.manifest.version, [])
    # Those behind the first wait for each other, the first of them the longest.
    together, last = threading.Barrier(3, timeout=60), threading.Event()

    def ask(document: dict[str, Any]) -> Reply:
        (given,) = document["inputs"]
        if given in ("two", "three", "four") and not together.broken and not last.is_set():
            together.wait()
            if given == "two":
                assert last.wait(60)
            if given == "four":
                last.set()
        return steady(document)

    told: list[str] = []
    answers, refused = asked_endpoint(found, ask, told.append)
    assert [answer and answer[0]["generated_text"] for answer in answers] == [*ANSWERS.values()]
    assert (refused, told) == ([], [f"row {number} of 4" for number in range(1, 5)])


def test_a_throttled_row_waits_as_it_is_told_or_longer_each_time(
    deployment: Deployment, tmp_path: Path
) -> None:
    pauses: list[float] = []
    found = replace(of(deployment, tmp_path / "out"), pause=pauses.append)
    steady = endpoint(found.manifest.version, [])
    left = iter([{"Retry-After": "2"}, {}, {}, {}])

    def ask(document: dict[str, Any]) -> Reply:
        headers = next(left, None)
        if headers is None:
            return steady(document)
        # The gateway's own.
        return Reply(status=429, body={"message": "Too Many Requests"}, ms=1, headers=headers)

    assert asked_endpoint(found, ask, lambda text: None)[1] == []
    assert pauses[0] == 2
    assert 0.5 <= pauses[1] <= 1 <= pauses[2] <= 2 <= pauses[3] <= 4


@pytest.mark.parametrize(
    ("concurrency", "refused"), [(1, ["row 3: 504 deadline_exceeded"]), (4, [])]
)
def test_a_row_that_was_late_beside_others_is_asked_again_alone(
    deployment: Deployment, tmp_path: Path, concurrency: int, refused: list[str]
) -> None:
    found = replace(of(deployment, tmp_path / "out"), concurrency=concurrency)
    steady, late = endpoint(found.manifest.version, []), iter([None])

    def ask(document: dict[str, Any]) -> Reply:
        if document["inputs"] == ["three"] and next(late, 1) is None:
            return Reply(status=504, body={"code": "deadline_exceeded"}, ms=1, headers={})
        return steady(document)

    answers, told = asked_endpoint(found, ask, lambda text: None)
    assert (told, answers[2] is None) == (refused, bool(refused))


def test_a_tier_that_does_not_wake_leaves_it_unproved_and_its_rows_named(
    deployment: Deployment, tmp_path: Path
) -> None:
    found = replace(of(deployment, tmp_path / "out"), pause=lambda seconds: None)
    asked: list[Any] = []
    ask = endpoint(found.manifest.version, asked, sleeps=10**6)
    record = verify_endpoint(found, ask, tmp_path / "out", LOG)
    assert (record["holds"], record["answered"]) == (False, 0)
    assert record["refused"][0] == "row 1: 503 tier_unavailable"
    # Only the first is waited for.
    assert len(asked) == PATIENCE_S / LOOK_S + len(ROWS)
    shown = Console(record=True, width=120)
    show(record, shown)
    assert "it stays unproved" in shown.export_text()


def test_an_endpoint_of_another_version_records_nothing(
    deployment: Deployment, tmp_path: Path
) -> None:
    found = of(deployment, tmp_path / "out")
    with pytest.raises(VerifyFailed) as caught:
        verify_endpoint(found, endpoint("0ld000000000", []), tmp_path / "out", LOG)
    assert_problems(caught.value.problems, ("artefact_outdated", "", "0ld000000000", "cdk deploy"))
    assert not record_path(tmp_path / "out", "chat").exists()


def test_a_model_that_is_not_there_is_refused(deployment: Deployment, tmp_path: Path) -> None:
    with pytest.raises(VerifyFailed) as caught:
        wanted(deployment, "chta", tmp_path / "out", 0.0)
    assert_problems(caught.value.problems, ("model_unknown", "", "models.toml has chat"))
