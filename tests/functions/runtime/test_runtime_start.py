"""The start of a function by the loop: its handler, the hooks around a snapshot, and its process."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from snapshot_restore_py import (
    get_after_restore,
    get_before_snapshot,
    register_after_restore,
    register_before_snapshot,
)

from functions.runtime.client import RuntimeClient
from functions.runtime.loop import main
from images.runtime_api import RuntimeApi
from tests.fixtures.paths import ROOT
from tests.functions.runtime.looping import answer_of, send


@pytest.fixture
def handlers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Return the name of a module of handlers."""
    (tmp_path / "handlers_of_test.py").write_text(
        "def over(event, context):\n    raise SystemExit(7)\n", "utf-8"
    )
    monkeypatch.syspath_prepend(tmp_path)
    return "handlers_of_test"


@pytest.mark.parametrize(
    ("name", "kind", "words"),
    [
        ("none_of_ours.handler", "ModuleNotFoundError", "none_of_ours"),
        ("handlers_of_test.nothing", "AttributeError", "nothing"),
        ("handler", "ValueError", "Empty module name"),
    ],
)
def test_a_handler_that_cannot_be_imported_fails_the_start(
    api: RuntimeApi,
    handlers: str,
    name: str,
    kind: str,
    words: str,
    capfd: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit) as raised:
        main(name, RuntimeClient(api.address), snap_start=False)
    assert raised.value.code == 1
    answer = answer_of(api)
    document = json.loads(answer.payload)
    assert (answer.request_id, answer.error, document["errorType"]) == ("", True, kind)
    assert words in document["errorMessage"]
    assert json.loads(capfd.readouterr().err)["message"] == document["errorMessage"]


def test_a_start_without_a_snapshot_runs_no_hooks(
    api: RuntimeApi, handlers: str, order: list[str]
) -> None:
    send(api, {})
    with pytest.raises(SystemExit) as raised:
        main(f"{handlers}.over", RuntimeClient(api.address), snap_start=False)
    assert (raised.value.code, order) == (7, [])


class Snapshotting(RuntimeApi):
    """A Runtime API that notes when the snapshot is taken."""

    def __init__(self, order: list[str]) -> None:
        super().__init__()
        self.order = order

    def restore(self) -> None:
        super().restore()
        self.order.append("snapshot")


@pytest.fixture
def order() -> Iterator[list[str]]:
    """Return the order in which hooks ran; a test puts into it beforehand which one fails."""
    found: list[str] = []

    def note(name: str, *, failing: str = "") -> None:
        if f"{name} fails" in found:
            raise RuntimeError(f"{name} fails")
        found.append(name)

    hooks = (get_before_snapshot(), get_after_restore())
    kept = [list(registered) for registered in hooks]
    for registered in hooks:
        registered.clear()
    register_before_snapshot(note, "before 1")
    register_before_snapshot(note, "before 2", failing="")
    register_after_restore(note, "after 1")
    register_after_restore(note, "after 2")
    yield found
    for registered, before in zip(hooks, kept, strict=True):
        registered[:] = before


@pytest.mark.parametrize(
    ("failing", "code", "kind", "ran"),
    [
        ("", 7, "", ["before 2", "before 1", "snapshot", "after 1", "after 2"]),
        ("before 1 fails", 64, "Runtime.BeforeSnapshotError", ["before 2"]),
        (
            "after 2 fails",
            65,
            "Runtime.AfterRestoreError",
            ["before 2", "before 1", "snapshot", "after 1"],
        ),
    ],
    ids=["none fails", "before", "after"],
)
def test_hooks_run_around_a_snapshot(
    handlers: str, order: list[str], failing: str, code: int, kind: str, ran: list[str]
) -> None:
    order.append(failing)
    api = Snapshotting(order)
    send(api, {})
    try:
        with pytest.raises(SystemExit) as raised:
            main(f"{handlers}.over", RuntimeClient(api.address), snap_start=True)
        assert (raised.value.code, order) == (code, [failing, *ran])
        if failing:
            answer = answer_of(api)
            document = json.loads(answer.payload)
            assert (answer.request_id, document["errorType"]) == ("", kind)
            assert document["errorMessage"] == failing
    finally:
        api.close()


def test_it_is_the_entry_point_of_a_process(api: RuntimeApi, tmp_path: Path) -> None:
    """Show that what a handler prints is in its log before the answer is sent."""
    (tmp_path / "printing.py").write_text(
        "def handler(event, context):\n    print('said', event)\n    return event\n", "utf-8"
    )
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "functions.runtime", "printing.handler"],
            env={
                "PYTHONPATH": f"{ROOT}{os.pathsep}{tmp_path}",
                "AWS_LAMBDA_RUNTIME_API": api.address,
            },
            stdout=log,
        )
    try:
        send(api, {"a": 1})
        assert answer_of(api).payload == b'{"a": 1}'
        assert (tmp_path / "log").read_text("utf-8") == "said {'a': 1}\n"
    finally:
        process.kill()
        process.wait()
