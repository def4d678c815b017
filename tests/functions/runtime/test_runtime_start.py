"""The start of a function by the loop: in place of AWS's client, with the hooks around a snapshot."""

import json
import os
import socket
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

from functions.runtime.loop import take_over
from images.runtime_api import End, RuntimeApi
from tests.fixtures.paths import ROOT
from tests.functions.runtime.looping import answer_of, chunks_of, send


def over(event: object, context: object) -> object:
    raise SystemExit(7)


def environment(api: RuntimeApi, kind: str = "on-demand") -> dict[str, str]:
    return {
        "AWS_LAMBDA_RUNTIME_API": api.address,
        "AWS_LAMBDA_INITIALIZATION_TYPE": kind,
    }


@pytest.fixture
def own_api() -> Iterator[RuntimeApi]:
    """Return a Runtime API for a process that is killed: one that has asked for work takes what is sent next."""
    api = RuntimeApi()
    yield api
    api.close()


def test_a_start_without_a_snapshot_runs_no_hooks(api: RuntimeApi, order: list[str]) -> None:
    send(api, {})
    with pytest.raises(SystemExit) as raised:
        take_over(over, environment(api))
    assert (raised.value.code, order) == (7, [])


def test_where_there_is_no_runtime_api_nothing_is_taken_over() -> None:
    take_over(over, {})


def test_a_process_ends_with_the_runtime_api() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"127.0.0.1:{server.getsockname()[1]}"
    with pytest.raises(SystemExit) as raised:
        take_over(over, {"AWS_LAMBDA_RUNTIME_API": address})
    assert "broke off" in str(raised.value.code)


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


@pytest.mark.slow
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
    order: list[str], failing: str, code: int, kind: str, ran: list[str]
) -> None:
    order.append(failing)
    api = Snapshotting(order)
    send(api, {})
    try:
        with pytest.raises(SystemExit) as raised:
            take_over(over, environment(api, "snap-start"))
        assert (raised.value.code, order) == (code, [failing, *ran])
        if failing:
            answer = answer_of(api)
            document = json.loads(answer.payload)
            assert (answer.request_id, document["errorType"]) == ("", kind)
            assert document["errorMessage"] == failing
    finally:
        api.close()


STREAMING = """
from functions.runtime.loop import take_over
from functions.runtime.response import Streamed

def handler(event, context):
    print("said", event)
    return Streamed(content_type="text/plain", chunks=(c for c in (b"a", b"b"))) if event else event

take_over(handler)
"""


@pytest.mark.slow
@pytest.mark.parametrize("code", [STREAMING, "raise ValueError('no model')\n"])
def test_awss_own_client_hands_over_to_the_loop(
    own_api: RuntimeApi, tmp_path: Path, code: str
) -> None:
    """Show that what a handler prints is in its log before the answer is sent, and that its start may fail."""
    (tmp_path / "streaming.py").write_text(code, "utf-8")
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "awslambdaric", "streaming.handler"],
            env={
                "PYTHONPATH": f"{ROOT}{os.pathsep}{tmp_path}",
                "AWS_LAMBDA_RUNTIME_API": own_api.address,
            },
            stdout=log,
        )
    try:
        if code != STREAMING:
            assert json.loads(answer_of(own_api).payload)["errorMessage"] == "no model"
            return
        for event in ({}, {"a": 1}):
            send(own_api, event)
        assert answer_of(own_api).payload == b"{}"
        assert chunks_of(answer_of(own_api)) == ([b"a", b"b"], End())
        assert (tmp_path / "log").read_text("utf-8") == "said {}\nsaid {'a': 1}\n"
    finally:
        process.kill()
        process.wait()
