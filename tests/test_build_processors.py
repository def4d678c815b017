"""What an artefact answers under an emulated processor, and what becomes of one that does not hold there."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import build
from build.cache import Cache
from build.choose import Candidate
from build.elsewhere import check, first_that_holds, risky
from build.errors import BuildError
from build.gate import AnswerFigures
from build.metrics import Outputs
from build.plan import Step
from build.processors import Processor, ask_on, emulated, native
from build.quantize import FLOAT, INT8, Recipe
from build.rows import Row
from contracts.manifest import read_manifest
from contracts.prediction import PredictRequest
from functions.inference.engine import Engine
from tests.tiny import artefact
from tests.tiny_bert import classifier, deployment, texts, write_rows

HERE = Processor(name="here", how="as it is", under=())
ROWS = [Row(request=PredictRequest(inputs=(t,))) for t in ("lovely", "awful", "fine fine", "no")]
PLAIN = next(recipe for recipe in INT8 if recipe.name == "int8")
FULL = next(recipe for recipe in INT8 if recipe.name == "int8 full range")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return artefact(tmp_path_factory.mktemp("artefact") / "cpu")


@pytest.fixture(scope="module")
def step(tmp_path_factory: pytest.TempPathFactory) -> Step:
    home = tmp_path_factory.mktemp("home")
    rows = write_rows(home / "rows.jsonl", [{"text": text} for text in texts(4)])
    (cpu, _) = build.plan(deployment(classifier(home / "model"), rows), home / "out")
    return replace(cpu, rows=tuple(ROWS))


def candidate(folder: Path, recipe: Recipe, outputs: Any = None) -> Candidate:
    figures = AnswerFigures(
        metric="accuracy",
        reference="original",
        metric_original=1,
        metric_built=1,
        difference_low=0,
        difference_high=0,
        agreement=1,
        agreement_low=0,
        agreement_high=1,
    )
    answered = outputs or [Engine.load(folder).predict(row.request).outputs for row in ROWS]
    return Candidate(
        folder=folder,
        recipe=recipe,
        manifest=read_manifest(folder),
        figures=figures,
        failures=(),
        outputs=tuple(answered),
    )


def test_the_emulated_processor_has_avx2_and_nothing_later() -> None:
    processor = emulated()
    assert processor is not None
    asked = (
        "import json, numpy; print(json.dumps(numpy.show_config(mode='dicts')['SIMD Extensions']))"
    )
    said = subprocess.run(
        [*processor.under, sys.executable, "-c", asked], capture_output=True, text=True, check=True
    ).stdout
    assert not [name for name in json.loads(said)["found"] if "AVX512" in name or "X86_V4" in name]


def test_a_model_answers_under_emulation_as_it_does_here(folder: Path) -> None:
    processor = emulated()
    assert processor is not None
    plain: list[Outputs] = [[{}]] * len(ROWS)
    there, here = ask_on(processor, folder, ROWS, plain), ask_on(HERE, folder, ROWS, plain)
    assert [o[0]["label"] for o in there] == [o[0]["label"] for o in here]
    assert [o[0]["score"] for o in there] == pytest.approx([o[0]["score"] for o in here], abs=1e-6)
    assert "with" in native()


def test_an_emulator_that_cannot_run_it_is_an_error_that_names_the_artefact(folder: Path) -> None:
    broken = Processor(name="broken", how="false", under=("false",))
    with pytest.raises(BuildError, match="cpu cannot be asked: its process ended with 1"):
        ask_on(broken, folder, ROWS, [[{}]] * len(ROWS))


def test_a_candidate_that_answers_otherwise_elsewhere_gives_way_to_the_next(
    folder: Path, step: Step, tmp_path: Path
) -> None:
    other = [[{"label": "so-so"}]] * len(ROWS)
    failing = replace(candidate(folder, FULL, other), folder=folder)
    cache = Cache(tmp_path)
    failures, seen = check(step, failing, cache, HERE)
    assert failures == ["on here: same answer as here 0.2500, below 0.98"]
    assert [entry["verdict"] for entry in seen] == ["measured here", failures[0][9:]]
    good = candidate(folder, PLAIN)
    chosen, wrong, seen = first_that_holds(step, [failing, good], cache, HERE)
    assert chosen is good
    assert wrong == {folder: failures}
    assert seen[-1]["verdict"] == "holds"


def test_without_an_emulator_what_may_saturate_is_not_shipped(
    folder: Path, step: Step, tmp_path: Path
) -> None:
    assert [risky(recipe) for recipe in (FULL, PLAIN, FLOAT[0])] == [True, False, False]
    cache = Cache(tmp_path)
    failures, _ = check(step, candidate(folder, FULL), cache, None)
    assert "apt-get install qemu-user" in failures[0]
    assert check(step, candidate(folder, PLAIN), cache, None)[0] == []
    exact, seen = check(step, candidate(folder, FLOAT[0]), cache, None)
    assert (exact, len(seen)) == ([], 1)
