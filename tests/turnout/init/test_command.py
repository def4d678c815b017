"""`turnout init` as a process of its own: what it asks, prints and builds."""

import json
import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from contracts.models_toml import read_models_toml
from contracts.tasks import Task
from tests.fixtures.command_line import turnout
from tests.fixtures.paths import ROOT
from turnout.cli import app

pytestmark = pytest.mark.build

ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT), "TERM": "xterm"}


def on_a_terminal(*words: str, cwd: Path, typed: str) -> tuple[int, str]:
    """Run `turnout` with a terminal on all of its streams; return its status and what the terminal showed."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "turnout", *words],
        cwd=cwd,
        env=ENVIRONMENT,
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
    )
    os.close(theirs)
    os.write(ours, typed.encode())
    shown = b""
    try:
        while block := os.read(ours, 4096):
            shown += block
    except OSError:  # Linux's end of file on a terminal whose other side is closed
        pass
    os.close(ours)
    return process.wait(), " ".join(shown.decode().split())


def test_help_shows_what_to_type_and_every_task() -> None:
    shown = " ".join(CliRunner().invoke(app, ["init", "--help"]).output.split())
    assert "turnout init hf://org/name --build" in shown
    assert "sample" in shown
    assert all(task in shown for task in Task)


def test_a_task_that_there_is_not_is_refused_with_all_that_there_are(tmp_path: Path) -> None:
    done = turnout("init", "model", "--task", "poetry", cwd=tmp_path)
    assert done.returncode == 2
    assert all(task in done.stderr for task in ("poetry", "fill-mask", "text-generation"))


def test_a_model_of_two_tasks_is_asked_about_on_a_terminal_until_there_is_an_answer(
    inference: Path, tmp_path: Path
) -> None:
    status, shown = on_a_terminal("init", str(inference), cwd=tmp_path, typed="7\nmaybe\n2\n")
    assert status == 0, shown
    assert "fits more than one task" in shown
    assert shown.count("Which one is it for?") == 3
    (spec,) = read_models_toml(tmp_path / "models.toml").models
    assert spec.task is Task.ZERO_SHOT_CLASSIFICATION


def test_without_an_answer_nothing_is_written(inference: Path, tmp_path: Path) -> None:
    status, shown = on_a_terminal("init", str(inference), cwd=tmp_path, typed="\x04")
    assert (status, "task_undecided" in shown) == (1, True)
    done = turnout("init", str(inference), cwd=tmp_path)
    assert done.returncode == 1
    assert "--task text-classification or --task zero-shot-classification" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_the_result_is_printed_for_people_and_as_json(bert: Path, tmp_path: Path) -> None:
    shown = turnout("init", str(bert), cwd=tmp_path).stdout
    for part in ("bert (text-classification) is now in models.toml", "`turnout build bert`"):
        assert part in shown
    again = turnout("init", str(bert), "--json", cwd=tmp_path)
    found = json.loads(again.stdout)
    assert (found["model"], found["new"], found["eval"]) == ("bert", False, "eval/bert.jsonl")
