"""Whole builds of tiny models that are real throughout: exported, fused, quantized, proven, sealed."""

import json
import os
import shutil
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from signal import SIGINT, SIGKILL, SIGTERM, Signals
from typing import Any

import numpy as np
import pytest

from build import api
from build.errors import GateFailed, SourceError
from build.sources.source import TransformersSource
from build.workspace.cache import FOLDER
from build.workspace.progress import hidden
from contracts.manifest import verify
from contracts.prediction import PredictRequest
from contracts.specs import Deployment, Gate
from contracts.tasks import Task
from functions.inference.engine import Engine
from tests.fixtures.models.sources import read_as
from tests.fixtures.models.tiny_bert import (
    CPU,
    LABELS,
    classifier,
    deployment,
    texts,
    write_rows,
)
from tests.fixtures.paths import ROOT
from tests.fixtures.problems import assert_names, assert_problems
from tests.fixtures.transformers_pipelines import answers

pytestmark = pytest.mark.build

TEXTS = texts(60)
REQUESTS = [PredictRequest(inputs=(text,)) for text in TEXTS]
ARTEFACT = ["/manifest.json", "/model.onnx", "/probe.json", "/tokenizer.json"]
PROOF = [".json", "/golden.jsonl"]


class Interrupt:
    """A user who presses Ctrl-C when that stage of an artefact is reported."""

    def __init__(self, name: str, stage: str) -> None:
        self.at = name, stage

    def stage(self, name: str, stage: str, done: float) -> None:
        if (name, stage) == self.at:
            raise KeyboardInterrupt


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make sources and rows; a classifier's rows have the label that the reference gives, except every tenth."""
    folder = tmp_path_factory.mktemp("home")
    classifier(folder / "classifier")
    source = read_as(TransformersSource, folder / "classifier", Task.TEXT_CLASSIFICATION)
    found = [LABELS.index(outputs[0]["label"]) for outputs in answers(source, REQUESTS)]
    assert len(set(found)) > 1
    labels = [LABELS[(label + (i % 10 == 0)) % 3] for i, label in enumerate(found)]
    rows = [{"text": text, "label": label} for text, label in zip(TEXTS, labels, strict=True)]
    write_rows(folder / "labelled.jsonl", rows)
    return folder


@pytest.fixture(scope="module")
def classify(home: Path) -> Deployment:
    gate = Gate(min_accuracy_ratio=0.95, min_agreement=0.95)
    return deployment(home / "classifier", home / "labelled.jsonl", gate=gate)


def run(deployment: Deployment, out: Path, progress: api.Progress = hidden) -> None:
    api.run(api.plan(deployment, out), out, progress)


def contents(out: Path) -> dict[str, bytes]:
    """Return every file but the cache's by its path, so that two states can be compared."""
    files = [path for path in out.rglob("*") if path.is_file() and FOLDER not in path.parts]
    return {str(path.relative_to(out)): path.read_bytes() for path in files}


@pytest.fixture(scope="module")
def built(classify: Deployment, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("built") / "models.out"
    run(classify, out)
    return out


def predict(folder: Path, *inputs: str) -> list[dict[str, Any]]:
    request = PredictRequest(inputs=inputs, parameters={})
    return list(Engine.load(folder, max_inputs=len(inputs)).predict(request).outputs)


def test_a_build_leaves_sealed_folders_and_their_evidence_and_nothing_else(built: Path) -> None:
    folders = [("tiny", name) for name in ARTEFACT] + [("tiny/evidence", name) for name in PROOF]
    files = [f"{folder}/{tier}{name}" for folder, name in folders for tier in ("cpu", "gpu")]
    assert sorted(contents(built)) == sorted([*files, "tiny/report.html"])
    assert [verify(built / "tiny" / tier).precision for tier in ("cpu", "gpu")] == ["int8", "fp32"]
    assert sorted(os.listdir(built)) == [FOLDER, "tiny"]


def test_full_precision_answers_as_transformers_does(built: Path, home: Path) -> None:
    source = read_as(TransformersSource, home / "classifier", Task.TEXT_CLASSIFICATION)
    right = [outputs[0] for outputs in answers(source, REQUESTS)]
    found = predict(built / "tiny/gpu", *TEXTS)
    assert [output["label"] for output in found] == [output["label"] for output in right]
    scores = [np.array([output["score"] for output in outputs]) for outputs in (found, right)]
    np.testing.assert_allclose(scores[0], scores[1], atol=1e-4)


def test_a_second_build_is_skipped_and_changes_nothing(built: Path, classify: Deployment) -> None:
    before = contents(built)
    steps = api.plan(classify, built)
    assert [step.why for step in steps] == ["", ""]
    api.run(steps, built, Interrupt("tiny cpu", "current").stage)
    assert contents(built) == before


def test_the_same_inputs_give_the_same_sealed_bytes(
    built: Path, classify: Deployment, tmp_path: Path
) -> None:
    out = tmp_path / "models.out"
    run(classify, out)
    first, second = (
        {
            name: data
            for name, data in contents(folder).items()
            if name.startswith(("tiny/cpu", "tiny/gpu"))
        }
        for folder in (built, out)
    )
    assert first == second


def test_what_changes_an_artefact_makes_a_build_necessary(
    built: Path, home: Path, classify: Deployment, tmp_path: Path
) -> None:
    out = shutil.copytree(built, tmp_path / "models.out")
    source = shutil.copytree(home / "classifier", tmp_path / "classifier")
    rows = Path(shutil.copy(home / "labelled.jsonl", tmp_path / "labelled.jsonl"))
    model = classify.models[0]

    def whys(**changes: Any) -> list[str]:
        table = {"source": source, "eval": rows, **changes}
        changed = replace(classify, models=(replace(model, **table),))
        return [step.why for step in api.plan(changed, out)]

    stale = "source, rows, settings or tools have changed"
    assert whys() == ["", ""]
    assert whys(cpu=replace(CPU, memory_mb=1024)) == ["", ""]  # as many threads to be fast on
    assert whys(cpu=replace(CPU, memory_mb=3008)) == [stale, ""]
    assert whys(cpu=replace(CPU, max_tokens=16)) == [stale, ""]
    assert whys(gate=Gate(min_agreement=0.5)) == [stale, stale]
    (out / "tiny/evidence/gpu.json").unlink()
    assert whys() == ["", "its evidence is missing"]
    (out / "tiny/cpu/model.onnx").write_bytes(b"")
    assert whys()[0].startswith("damaged: ")
    shutil.rmtree(out / "tiny/gpu")
    assert whys()[1] == "not built yet"
    with rows.open("a", encoding="utf-8") as file:
        file.write('{"text": "never", "label": "bad"}\n')
    assert whys()[0].startswith("damaged: ")
    (source / "config.json").write_text((source / "config.json").read_text("utf-8") + " ", "utf-8")
    shutil.rmtree(out / "tiny/cpu")
    shutil.copytree(built / "tiny/cpu", out / "tiny/cpu")
    assert whys()[0] == stale


def test_a_failed_gate_reports_by_how_much_and_keeps_the_older_artefact(
    built: Path, home: Path, tmp_path: Path
) -> None:
    out = shutil.copytree(built, tmp_path / "models.out")
    before = contents(out)
    impossible = Gate(min_accuracy_ratio=1.2, min_agreement=1)
    with pytest.raises(GateFailed) as caught:
        run(deployment(home / "classifier", home / "labelled.jsonl", gate=impossible), out)
    message = str(caught.value)
    assert_names(message, ("tiny cpu: ", "60 rows", "min_accuracy_ratio 1.2", "0.9000", "`gate`"))
    for recipe in ("fp32", "fp32 fused", "int8", "int8 smoothed", "int8 smoothed, static"):
        assert f"\n  {recipe}: accuracy 0." in message
    assert contents(out) == before


@pytest.mark.exhaustive(keep=3)
@pytest.mark.parametrize(
    ("name", "stage", "finished"),
    [
        ("tiny cpu", "exporting to ONNX, running the reference", 0),
        ("tiny cpu", "making candidates: int8 smoothed", 0),
        ("tiny cpu", "choosing", 0),
        ("tiny cpu", "proven and sealed", 1),
        ("tiny gpu", "making candidates: fp32 fused", 1),
        ("tiny gpu", "proven and sealed", 2),
    ],
)
def test_an_interrupt_at_any_stage_leaves_the_old_or_the_new_and_nothing_half(
    built: Path, home: Path, tmp_path: Path, name: str, stage: str, finished: int
) -> None:
    out = shutil.copytree(built, tmp_path / "models.out")
    old = [verify(out / "tiny" / tier).version for tier in ("cpu", "gpu")]
    changed = deployment(home / "classifier", home / "labelled.jsonl", gate=Gate(min_agreement=0.9))
    # As if a second interrupt had ended the removal of what the first cut off.
    (cut := out / FOLDER / "tiny" / f".half-{os.getpid()}-cut").mkdir()
    with pytest.raises(KeyboardInterrupt):
        run(changed, out, Interrupt(name, stage).stage)
    assert not cut.exists()
    found = [verify(out / "tiny" / tier).version for tier in ("cpu", "gpu")]
    assert sum(a != b for a, b in zip(old, found, strict=True)) == finished
    assert sorted(os.listdir(out)) == [FOLDER, "tiny"]
    assert sorted(contents(out)) == sorted(contents(built))


@pytest.mark.exhaustive(keep=2)
@pytest.mark.parametrize("how", [SIGINT, SIGTERM, SIGKILL], ids=lambda s: s.name)
def test_a_build_that_is_ended_leaves_nothing_or_is_swept_by_the_next(
    home: Path, classify: Deployment, tmp_path: Path, how: Signals
) -> None:
    (tmp_path / "models.toml").write_text(
        f'[models.tiny]\nsource = "{home}/classifier"\neval = "{home}/labelled.jsonl"\n'
        'task = "text-classification"\ncpu = {}\n',
        "utf-8",
    )
    out = tmp_path / "models.out"
    process = subprocess.Popen(
        [sys.executable, "-m", "turnout", "build", "--out", str(out)],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stderr=subprocess.PIPE,
        text=True,
    )
    with process:
        while process.poll() is None and not list(out.glob(".work-*")):
            time.sleep(0.005)
        process.send_signal(how)
        printed = process.stderr.read() if process.stderr else ""
    if how is SIGKILL:
        assert list(out.glob(".work-*"))
        run(classify, out)
        assert sorted(os.listdir(out)) == [FOLDER, "tiny"]
    else:
        assert process.returncode == 130
        assert set(os.listdir(out)) <= {FOLDER}  # complete files are kept for the next build
        assert not list(out.glob(f"{FOLDER}/*/.half-*"))
        assert printed.splitlines()[-1] == "interrupted; nothing half-made was left behind"


def test_weights_that_are_not_numbers_are_found_before_anything_is_written(
    home: Path, tmp_path: Path
) -> None:
    from safetensors.torch import load_file, save_file

    source = shutil.copytree(home / "classifier", tmp_path / "classifier")
    weights = load_file(source / "model.safetensors")
    weights["classifier.bias"][0] = float("nan")
    save_file(weights, source / "model.safetensors", metadata={"format": "pt"})
    out = tmp_path / "models.out"
    with pytest.raises(SourceError) as caught:
        run(deployment(source, home / "labelled.jsonl"), out)
    not_finite = ("weights_not_finite", source, "classifier.bias", "NaN")
    assert_problems(caught.value.problems, not_finite)
    assert contents(out) == {}


def test_a_build_that_is_not_timed_ships_the_nearest_and_has_evidence_and_a_page(
    home: Path, tmp_path: Path
) -> None:
    out = tmp_path / "models.out"
    spec = deployment(home / "classifier", home / "labelled.jsonl", gpu=None)
    api.run(api.plan(spec, out), out, timed=False)
    evidence = json.loads((out / "tiny/evidence/cpu.json").read_text("utf-8"))
    assert "timing candidates" not in evidence["seconds"]
    assert {candidate["expected_ms"] for candidate in evidence["candidates"]} == {0}
    assert 1 < evidence["chars_per_token"] < 8
    assert evidence["agreement"] == max(one["agreement"] for one in evidence["candidates"])
    assert "<h2>Candidates</h2>" not in (out / "tiny/report.html").read_text("utf-8")
    assert [step.why for step in api.plan(spec, out)] == [""]
