"""The page on `turnout init`: its commands run, and write what it shows."""

import json
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from build.samples.texts import sample_texts
from contracts.manifest import verify
from contracts.models_toml import read_models_toml
from tests.fixtures.command_line import turnout
from tests.fixtures.models.hub import COMMIT, hub
from tests.fixtures.models.tiny_bare import bare
from tests.fixtures.models.word_files import TINY, as_text
from tests.fixtures.paths import ROOT

pytestmark = pytest.mark.build

PAGE = (ROOT / "docs/init.md").read_text("utf-8")
README = (ROOT / "README.md").read_text("utf-8")
JOURNEY, SOURCES = re.findall(r"```sh\n(.*?)```", PAGE, re.DOTALL)


def words_of(line: str) -> list[str]:
    """Return the words of a command behind `turnout`, with the repository that the hub of tests has."""
    return shlex.split(line.replace("hf://org/name", "hf://org/bert"))[1:]


def test_one_command_goes_from_a_hub_to_a_sealed_artefact_that_knows_no_row_of_the_users(
    bert: Path, tmp_path: Path
) -> None:
    first, *others = JOURNEY.splitlines()
    assert f"```sh\n{first}\n```" in README
    with hub(bert, []) as environment:
        done = subprocess.run(
            [sys.executable, "-m", "turnout", *words_of(first)],
            cwd=tmp_path,
            env={**environment, "PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            check=False,
        )
    assert done.returncode == 0, done.stderr
    shown = " ".join((done.stdout + done.stderr).split())
    assert "agreement on sample rows only; add your own" in shown
    manifest = verify(tmp_path / "models.out/bert/cpu")
    assert manifest.provenance["origin"] == f"hf://org/bert@{COMMIT}"
    assert manifest.provenance["sample"] is True
    evidence = json.loads((tmp_path / "models.out/bert/evidence/cpu.json").read_text("utf-8"))
    assert (evidence["rows"], evidence["sample"]) == (200, True)
    page = (tmp_path / "models.out/bert/report.html").read_text("utf-8")
    assert "Agreement on sample rows only" in page
    assert [turnout(*words_of(line), cwd=tmp_path).returncode for line in others] == [0, 0]
    # The hub is gone now, and nothing of it is needed.
    again = turnout("init", f"hf://org/bert@{COMMIT}", "--build", cwd=tmp_path)
    assert again.returncode == 0, again.stderr
    assert "was already in models.toml" in again.stderr


def test_the_commands_on_sources_add_a_model_each(
    bert: Path, inference: Path, tmp_path: Path
) -> None:
    shutil.copytree(bert, tmp_path / "models/intent")
    shutil.copytree(inference, tmp_path / "models/nli")
    shutil.copy(bare(tmp_path / "graph") / "model.onnx", tmp_path / "models/graph.onnx")
    (tmp_path / "models/words.vec").write_bytes(as_text(TINY))
    (tmp_path / "rows.jsonl").write_text('{"text": "film", "label": "good"}\n', "utf-8")
    for line in SOURCES.splitlines():
        done = turnout(*words_of(line), cwd=tmp_path)
        assert done.returncode == 0, done.stderr
    found = {spec.name: spec.task for spec in read_models_toml(tmp_path / "models.toml").models}
    assert found == {
        "intent": "text-classification",
        "graph": "text-classification",
        "words": "word-vectors",
        "nli": "zero-shot-classification",
        "intent-own": "text-classification",
    }
    planned = turnout("plan", "--json", cwd=tmp_path)
    assert planned.returncode == 0, planned.stderr
    assert len(json.loads(planned.stdout)["tiers"]) == 5


def test_the_table_on_the_page_is_the_one_that_is_written(bert: Path, tmp_path: Path) -> None:
    (shown,) = re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL)
    with hub(bert, []) as environment:
        done = subprocess.run(
            [sys.executable, "-m", "turnout", "init", "hf://org/bert", "--name", "name"],
            cwd=tmp_path,
            env={**environment, "PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            check=False,
        )
    assert done.returncode == 0, done.stderr
    written = (
        (tmp_path / "models.toml").read_text("utf-8").replace("hf://org/bert", "hf://org/name")
    )
    assert written.endswith(f"\n{shown}")


def test_the_languages_of_the_sample_are_listed() -> None:
    (listed,) = re.findall(r"written for it, in (.*?),\s+in the form", PAGE, re.DOTALL)
    count = len(re.split(r",\s+|\s+and\s+", listed))
    assert count == len({each.language for each in sample_texts()})
    assert f"{len(sample_texts())} texts" in PAGE
