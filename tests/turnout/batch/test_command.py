"""`turnout batch` as its user sees it."""

import json
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

from rich.console import Console
from typer.testing import CliRunner

from tests.fixtures.paths import ROOT
from tests.turnout.batch.endpoint import Said, Scripted, problem, serving
from tests.turnout.batch.test_rows import file_of
from turnout.batch.answers_file import partial
from turnout.batch.command import Lines, progress
from turnout.cli import app

invoke = CliRunner().invoke


def test_a_batch_prints_what_was_answered_and_where(tmp_path: Path) -> None:
    rows = file_of(tmp_path, "a", "b", "c")
    with serving(Scripted()) as service:
        done = invoke(app, ["batch", "m", str(rows), "--url", service.url, "--key", "k"])
    assert done.exit_code == 0, done.output
    out = tmp_path / "rows.answers.jsonl"
    assert done.stdout.splitlines() == ["3 rows: 3 cpu", str(out)]
    assert len(out.read_text("utf-8").splitlines()) == 3
    assert service.seen[0]["allow_degraded"] is False


def test_the_status_says_that_a_row_has_an_error(tmp_path: Path) -> None:
    def before(inputs: list[Any]) -> Said | None:
        return problem(422, "invalid_input") if "b" in inputs else None

    rows, out = file_of(tmp_path, "a", "b"), tmp_path / "out.jsonl"
    with serving(Scripted(before=before)) as service:
        words = ["--out", str(out), "--tier", "gpu", "--allow-degraded", "--json"]
        done = invoke(app, ["batch", "m", str(rows), "--url", service.url, "--key", "k", *words])
    assert done.exit_code == 1
    assert json.loads(done.stdout) == {
        "out": str(out),
        "rows": 2,
        "errors": 1,
        "by": {"cpu": 1, "invalid_input": 1},
    }
    assert (service.seen[0]["tier"], service.seen[0]["allow_degraded"]) == ("gpu", True)


def test_rows_are_checked_before_anything_is_sent(tmp_path: Path) -> None:
    rows = file_of(tmp_path, "a", 5)
    with serving(Scripted()) as service:
        done = invoke(app, ["batch", "m", str(rows), "--url", service.url, "--key", "k"])
    assert "line 2" in str(done.exception)
    assert service.seen == []


def test_a_batch_that_is_interrupted_goes_on_with_the_same_command(tmp_path: Path) -> None:
    texts = [f"text {n}" for n in range(12)]
    rows, out = file_of(tmp_path, *texts), tmp_path / "rows.answers.jsonl"
    held = threading.Event()

    def before(inputs: list[Any]) -> Said | None:
        # The second half waits until the first one is written and the command told to end.
        if "text 6" in inputs:
            held.wait(60)
        return None

    with serving(Scripted(before=before)) as service:
        words = ["--url", service.url, "--key", "k", "--size", "3", "--concurrency", "1"]
        command = [sys.executable, "-m", "turnout", "batch", "m", str(rows), *words]
        env = {"PYTHONPATH": str(ROOT)}
        with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=env) as process:
            while not partial(out).exists() or partial(out).read_bytes().count(b"\n") < 6:
                assert process.poll() is None
                time.sleep(0.01)
            process.send_signal(signal.SIGINT)
            held.set()
            assert process.stderr is not None
            said = process.stderr.read()
        assert (process.returncode, "interrupted" in said) == (130, True), said
        assert not out.exists()
        done = invoke(app, ["batch", "m", str(rows), *words])
    assert done.exit_code == 0, done.output
    labels = [json.loads(line)["output"]["label"] for line in out.read_text("utf-8").splitlines()]
    assert labels == [text.upper() for text in texts]


def test_a_log_has_the_beginning_and_a_line_now_and_then() -> None:
    console = Console(record=True, force_terminal=False, width=120)
    lines = Lines(console, rows=9)
    lines.begun(4)
    lines.answered()
    lines.say("waiting 2 s: 503")
    lines.last -= 60
    lines.say("waiting 4 s: 503")
    lines.last -= 60
    lines.answered()
    assert console.export_text().splitlines() == [
        "9 rows, of which 4 were answered before",
        "5 of 9 rows; waiting 4 s: 503",
        "6 of 9 rows",
    ]


def test_a_terminal_has_a_bar_that_says_what_is_waited_for() -> None:
    console = Console(record=True, force_terminal=True, width=120)
    with progress(console, 9) as told:
        told.begun(4)
        told.answered({})
        told.say("waiting 4 s: 503 the gpu tier is waking")
    shown = console.export_text()
    assert "5/9" in shown
    assert "the gpu tier is waking" in shown
