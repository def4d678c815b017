"""The command line: what it prints, how it fails."""

import io
import json
import subprocess
import sys
from pathlib import Path

import pytest
from rich.console import Console
from typer.testing import CliRunner

from contracts.specs import Objective
from tests.fixtures.command_line import turnout
from tests.fixtures.models.tiny_bert import classifier, deployment, write_rows
from tests.fixtures.paths import ROOT
from turnout.building import Lines, with_objective
from turnout.cli import app

pytestmark = pytest.mark.build

run = CliRunner().invoke


@pytest.mark.parametrize(
    "command",
    ["init", "build", "image", "sign", "vouch", "verify", "inspect", "plan", "up", "call", "keys"],
)
def test_help_covers_every_command(command: str) -> None:
    done = run(app, [command, "--help"])
    assert done.exit_code == 0
    assert command in done.output
    assert command in run(app, ["--help"]).output


@pytest.mark.parametrize(
    "command",
    ["init", "build", "image", "sign", "vouch", "verify", "inspect", "plan", "up", "call"],
)
def test_every_command_takes_json(command: str) -> None:
    assert "--json" in run(app, [command, "--help"]).output


def test_importing_the_command_line_loads_nothing_heavy() -> None:
    heavy = "{'torch', 'aws_cdk', 'moto', 'onnxruntime', 'transformers', 'fastapi', 'boto3'}"
    code = f"import sys, turnout.cli; sys.exit(str(sorted({heavy} & set(sys.modules))))"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.stderr.strip() == "[]"


def test_keys_are_made_shown_once_and_removed(tmp_path: Path) -> None:
    file = str(tmp_path / "keys.toml")
    made = run(app, ["keys", "add", "ci", "--keys", file, "--json"])
    key = json.loads(made.stdout)["key"]
    assert key not in Path(file).read_text("utf-8")
    assert list(json.loads(run(app, ["keys", "list", "--keys", file, "--json"]).stdout)) == ["ci"]
    assert run(app, ["keys", "remove", "ci", "--keys", file]).exit_code == 0
    assert "refuse every request" in run(app, ["keys", "list", "--keys", file]).stdout


def test_a_file_full_of_problems_is_reported_without_a_stack_trace(tmp_path: Path) -> None:
    (tmp_path / "models.toml").write_text('[models.a]\ntask = "x"\nsourc = 3\n', "utf-8")
    done = turnout("plan", cwd=tmp_path)
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.startswith("error[config_invalid]: models.toml: 5 problems\n")
    assert "  models.a.sourc: " in done.stderr
    assert "[setting_unknown]" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_place_that_cannot_be_written_is_named_without_a_stack_trace(tmp_path: Path) -> None:
    source = classifier(tmp_path / "source")
    write_rows(tmp_path / "rows.jsonl", [{"text": "a good film"}, {"text": "a bad plot"}])
    text = f'[models.a]\nsource = "{source}"\ntask = "text-classification"\neval = "rows.jsonl"\ncpu = {{}}\n'
    (tmp_path / "models.toml").write_text(text, "utf-8")
    (tmp_path / "taken").touch()
    done = turnout("build", "--out", "taken/models.out", cwd=tmp_path)
    assert done.returncode == 1
    assert "error[file_inaccessible]: taken/models.out: " in done.stderr
    assert "NotADirectoryError" in done.stderr
    assert "taken/models.out" in done.stderr
    assert "Traceback" not in done.stderr


def test_an_objective_on_the_command_line_goes_before_the_one_in_the_file(tmp_path: Path) -> None:
    wanted = deployment(tmp_path / "source", tmp_path / "rows.jsonl")
    assert with_objective(wanted, None) is wanted
    cpu = with_objective(wanted, Objective.SIZE).models[0].cpu
    assert cpu
    assert cpu.objective == "size"
    refused = run(app, ["build", "--objective", "speed"])
    assert refused.exit_code == 2
    assert "'latency', 'size', 'accuracy'" in refused.output


def test_a_missing_source_is_named_with_its_code(tmp_path: Path) -> None:
    text = '[models.a]\nsource = "m"\ntask = "feature-extraction"\neval = "e.jsonl"\ncpu = {}\n'
    (tmp_path / "models.toml").write_text(text, "utf-8")
    done = turnout("build", cwd=tmp_path)
    assert done.returncode == 1
    assert done.stderr.startswith("error[source_unusable]: ")
    lines = done.stderr.splitlines()
    for place, code in (("m: ", "file_missing"), ("e.jsonl: ", "rows_missing")):
        assert [line for line in lines if place in line and line.endswith(f"[{code}]")]
    assert not (tmp_path / "models.out").exists()


def test_a_build_without_a_terminal_prints_its_progress_line_by_line() -> None:
    log = io.StringIO()
    lines = Lines(Console(file=log))
    for done in (0.0, 0.1, 0.2):
        lines.stage("sst2 cpu", "exporting [1 of 2]", done)
    lines.stage("sst2 cpu", "sealed", 1.0)
    assert log.getvalue().splitlines() == [
        "  0% sst2 cpu: exporting [1 of 2]",
        "100% sst2 cpu: sealed",
    ]
