"""A whole build of a tiny embedder: its vectors, whole and cut to fewer dimensions, and their figures."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from build import api
from build.errors import SourceError
from build.sources.source import TransformersSource
from build.workspace.progress import hidden
from contracts.manifest import read_manifest
from contracts.prediction import PredictRequest
from contracts.specs import Deployment
from contracts.tasks import Task
from functions.inference.engine import Engine
from tests.fixtures.models.sources import read_as
from tests.fixtures.models.tiny_bert import deployment, encoder, texts, write_rows
from tests.fixtures.problems import assert_names
from tests.fixtures.transformers_pipelines import answers

pytestmark = pytest.mark.build

TEXTS = texts(60)
REQUESTS = [PredictRequest(inputs=(text,)) for text in TEXTS]


def run(spec: Deployment, out: Path) -> None:
    api.run(api.plan(spec, out), out, hidden)


def embedded(folder: Path, **parameters: object) -> Any:
    request = PredictRequest(inputs=tuple(TEXTS), parameters=parameters)
    outputs = Engine.load(folder, max_inputs=len(TEXTS)).predict(request).outputs
    return np.array([output["embedding"] for output in outputs])


def test_vectors_are_pooled_normalised_and_cut_as_the_folder_and_its_settings_say(
    tmp_path: Path,
) -> None:
    out, folder = tmp_path / "models.out", encoder(tmp_path / "encoder")
    rows = write_rows(tmp_path / "texts.jsonl", [{"text": text} for text in TEXTS])
    spec = deployment(folder, rows, Task.FEATURE_EXTRACTION, dimensions=(24, 16))
    run(spec, out)
    source = read_as(TransformersSource, folder, Task.FEATURE_EXTRACTION)
    right = np.array([outputs[0]["embedding"] for outputs in answers(source, REQUESTS)])
    exact, quantized = embedded(out / "tiny/gpu"), embedded(out / "tiny/cpu")
    np.testing.assert_allclose(np.linalg.norm(exact, axis=1), 1, atol=1e-5)
    np.testing.assert_allclose(exact, right, atol=1e-4)
    assert (quantized * right).sum(axis=1).min() > 0.99
    manifest = read_manifest(out / "tiny/cpu")
    assert (manifest.dimensions, manifest.shorter_dimensions) == (32, (24, 16))
    # Each number of dimensions has figures of its own, below the gate or above it.
    cut = right[:, :16] / np.linalg.norm(right[:, :16], axis=1, keepdims=True)
    short = embedded(out / "tiny/cpu", dimensions=16)
    np.testing.assert_allclose(np.linalg.norm(short, axis=1), 1, atol=1e-6)
    evidence = json.loads((out / "tiny/evidence/cpu.json").read_text("utf-8"))
    assert list(evidence["shorter"]) == ["24", "16"]
    mean = (short * cut).sum(axis=1).mean()
    assert evidence["shorter"]["16"]["cosine_mean"] == pytest.approx(mean, abs=1e-5)
    assert manifest.provenance["shorter"] == evidence["shorter"]
    assert "Cut to 16 dimensions, the mean cosine" in (out / "tiny/report.html").read_text("utf-8")
    assert all(step.current for step in api.plan(spec, out))
    fewer = replace(spec, models=(replace(spec.models[0], dimensions=(24,)),))
    assert [step.current for step in api.plan(fewer, out)] == [False, False]
    # What the vectors have is known once the reference has answered.
    wide = replace(spec, models=(replace(spec.models[0], dimensions=(32,)),))
    with pytest.raises(SourceError) as caught:
        run(wide, out)
    (problem,) = caught.value.problems
    assert_names(str(problem), ["tiny: `dimensions`", "32 is not fewer than the 32", "remove it"])
