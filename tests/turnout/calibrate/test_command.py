"""`turnout calibrate` prints and writes what was found, or what is missing."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from contracts.cascade.calibration import read_calibration
from contracts.cascade.confidence import CONFIDENCES
from tests.build.cascade.moods import artefacts, rows, write
from tests.fixtures.paths import ROOT
from turnout.cli import app

CONFIG = """
[models.moods]
source = "unused"
task = "text-classification"
eval = "eval.jsonl"
cpu = {}
gpu = { instance = "ml.g6.xlarge" }
"""
PAGE = (ROOT / "docs/cascade.md").read_text("utf-8")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of a user with two artefacts and labelled rows, in which commands run."""
    monkeypatch.chdir(tmp_path)
    artefacts(tmp_path / "models.out")
    (tmp_path / "models.toml").write_text(CONFIG, "utf-8")
    write(tmp_path / "eval.jsonl", [{"text": "awful lovely", "label": "bad"}])
    write(tmp_path / "held-out.jsonl", rows(awful=250, lovely=250, dim=200))
    return tmp_path


def run(*words: str) -> tuple[int, str]:
    done = CliRunner().invoke(app, ["calibrate", "moods", "--rows", "held-out.jsonl", *words])
    return done.exit_code, done.output


def test_the_output_is_the_one_on_the_page(folder: Path) -> None:
    status, output = run()
    assert status == 0
    expected = PAGE.split("<!-- output: calibrate -->\n```\n")[1].split("```\n<!-- end -->")[0]
    assert "\n".join(line.rstrip() for line in output.splitlines()) + "\n" == expected


def test_the_document_is_the_file_that_was_written(folder: Path) -> None:
    status, output = run("--json")
    assert status == 0
    document = json.loads(output)
    written = read_calibration(folder / document.pop("file"))
    assert (folder / document.pop("page")).is_file()
    assert written is not None
    assert document == json.loads(written.to_json())


def test_seen_rows_are_named_as_a_doubt_where_they_are_allowed(folder: Path) -> None:
    write(folder / "train.jsonl", rows(dim=3))
    status, output = run("--training", "train.jsonl", "--allow-seen")
    assert status == 0
    assert "does NOT hold" in output
    assert "3 of its rows are among those of train.jsonl" in output


@pytest.mark.parametrize("words", [("--max-loss", "0"), ("--max-loss", "x"), ("--assurance", "1")])
def test_a_bound_that_cannot_be_is_refused(folder: Path, words: tuple[str, ...]) -> None:
    assert run(*words)[0] == 2
    assert not (folder / "models.out/moods/calibration.json").exists()


def test_the_page_has_the_confidence_of_every_task_that_has_one() -> None:
    table = {
        cells[0].strip(" `"): cells[1].strip()
        for line in PAGE.splitlines()
        if line.startswith("| `") and len(cells := line.strip("|").split("|")) == 3
    }
    assert table == {task.value: one.meaning for task, one in CONFIDENCES.items()}
