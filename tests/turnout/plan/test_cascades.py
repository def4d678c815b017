"""`turnout plan` says what is escalated, or why nothing is."""

import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner

from contracts.cascade.calibration import FILE
from contracts.tasks import Tier
from tests.build.cascade.moods import GPU, artefacts, rows, write
from tests.fixtures.models.tiny import Tiny, artefact
from tests.fixtures.models.tiny_bert import classifier
from turnout.cli import app
from turnout.plan.plan import Undeployable

pytestmark = pytest.mark.build
TEXT = """
[models.moods]
source = "model"
task = "text-classification"
eval = "eval.jsonl"
cpu = {}
gpu = { instance = "ml.g5.2xlarge" }
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of a user whose model is calibrated, in which commands run."""
    monkeypatch.chdir(tmp_path)
    classifier(tmp_path / "model")
    artefacts(tmp_path / "models.out")
    (tmp_path / "models.toml").write_text(TEXT, "utf-8")
    write(tmp_path / "eval.jsonl", [{"text": "awful lovely", "label": "good"}])
    write(tmp_path / "rows.jsonl", rows(awful=300, lovely=300, dim=100))
    run("calibrate", "moods", "--rows", "rows.jsonl")
    return tmp_path


def run(*words: str) -> str:
    done = CliRunner().invoke(app, [*words])
    assert done.exit_code == 0, done.output
    return " ".join(done.output.split())


def test_a_plan_has_the_threshold_and_the_bound(folder: Path) -> None:
    shown = run("plan")
    assert "moods: answers from a confidence of 0." in shown
    assert "with a probability of 95% at most 0.85% are lost" in shown


def test_a_plan_says_that_a_new_artefact_switches_the_cascade_off(folder: Path) -> None:
    shutil.rmtree(folder / "models.out/moods/gpu")
    words = {**GPU, "fresh": (1.0, 0, 0)}
    artefact(folder / "models.out/moods/gpu", Tiny(model="moods", tier=Tier.GPU, words=words))
    assert "moods: nothing is escalated to the GPU tier" in run("plan")


def test_a_plan_refuses_a_calibration_that_was_changed(folder: Path) -> None:
    path = folder / "models.out/moods" / FILE
    path.write_text(path.read_text("utf-8").replace("0.95", "0.99"), "utf-8")
    done = CliRunner().invoke(app, ["plan"])
    assert isinstance(done.exception, Undeployable)
    assert [problem.code for problem in done.exception.problems] == ["calibration_broken"]


@pytest.mark.parametrize(
    ("gpu", "judged"),
    [
        ("", "if the GPU tier contradicts more of its samples than before"),
        (", shadow = 0.1", "if the GPU tier contradicts more of its shadows than before"),
        (", sample = 0.0", "moods: a canary is judged by errors alone"),
    ],
)
def test_a_plan_says_what_a_canary_is_judged_by(folder: Path, gpu: str, judged: str) -> None:
    assert "a canary" not in run("plan")
    text = TEXT.replace("cpu = {}", "cpu = { canary_minutes = 10 }")
    (folder / "models.toml").write_text(text.replace('2xlarge"', f'2xlarge"{gpu}'), "utf-8")
    assert judged in run("plan")
