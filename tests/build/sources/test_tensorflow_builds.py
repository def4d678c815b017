"""Whole builds of models that Keras made, by TensorFlow in an environment of its own."""

import json
import os
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tokenizers import Tokenizer

from build import api
from build.errors import SourceError
from build.export.fusion import plain
from build.export.to_onnx import export
from build.proof.golden import read_golden
from build.sources.source import GraphSource
from build.sources.tensorflow import environment, tflite_signature
from contracts.manifest import verify
from contracts.prediction import PredictRequest
from contracts.specs import CpuSpec, Gate, SourceOptions
from contracts.tasks import Task
from functions.inference.engine import Engine
from tests.fixtures.models import tiny_bert
from tests.fixtures.models.sources import read_as
from tests.fixtures.models.tiny_bert import LABELS, deployment, texts, write_rows
from tests.fixtures.models.tiny_saved import lite
from tests.fixtures.problems import assert_problems, raises

TEXTS = texts(40)
REQUESTS = [PredictRequest(inputs=(text,)) for text in TEXTS]
CLASSES = Task.TEXT_CLASSIFICATION


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder of models made by Keras, with TensorFlow's own outputs for the texts."""
    place = environment.ENVIRONMENT.home()
    assert environment.ENVIRONMENT.versions(), f"nothing in {place}; run `make converters`"
    folder = tmp_path_factory.mktemp("home")
    tiny_bert.write_tokenizer(folder)
    words = Tokenizer.from_file(str(folder / "tokenizer.json"))
    ids = [words.encode(text).ids for text in TEXTS]
    (folder / "ids.json").write_text(json.dumps(ids), "utf-8")
    write_rows(folder / "rows.jsonl", [{"text": text} for text in TEXTS])
    script = Path(__file__).parents[2] / "fixtures/models/tiny_tensorflow.py"
    subprocess.run(
        [place / "bin/python", "-I", script, folder],
        check=True,
        env={**os.environ, "CUDA_VISIBLE_DEVICES": "-1"},
        capture_output=True,
    )
    return folder


def outputs(artefact: Path) -> list[dict[str, Any]]:
    engine = Engine.load(artefact)
    return [engine.predict(request).outputs[0] for request in REQUESTS]


def scores(found: Sequence[dict[str, Any]], labels: Sequence[str]) -> Any:
    """Return the place of the best label and its probability, a row for each output."""
    return np.array([[labels.index(output["label"]), output["score"]] for output in found])


@pytest.mark.foreign
@pytest.mark.exhaustive(keep=1)
@pytest.mark.parametrize(
    ("name", "labels", "details", "near"),
    [
        ("lstm", LABELS, {}, 1e-4),
        ("mean.tflite", ("no", "yes"), {"length": 16}, 1e-4),
        # Its interpreter rounds activations of each product to 8 bits, which the float graph does not.
        ("both.tflite", LABELS, {"length": 16}, 0.03),
    ],
)
def test_an_artefact_has_the_outputs_of_tensorflow(
    home: Path,
    tmp_path: Path,
    name: str,
    labels: tuple[str, ...],
    details: dict[str, Any],
    near: float,
) -> None:
    right = np.load(home / f"{Path(name).stem}.npy")
    if right.shape[1] == 1:
        right = np.concatenate([1 - right, right], axis=1)
    best = np.stack([right.argmax(axis=1), right.max(axis=1)], axis=1)
    assert len(set(best[:, 0])) == len(labels)
    options = SourceOptions(tokenizer=home / "tokenizer.json", labels=labels)
    limit = 32 if name == "lstm" else None
    for quantize in ("int8", "none"):
        cpu = CpuSpec(objective="size", portable=False, quantize=quantize, max_tokens=limit)
        gate = Gate(min_agreement=0.94, min_accuracy_ratio=0.94)  # of 40 rows, one is 2.5 %
        table: dict[str, Any] = {"cpu": cpu, "gpu": None, "source_options": options, "gate": gate}
        spec = deployment(home / name, home / "rows.jsonl", **table)
        api.run(api.plan(spec, tmp_path), tmp_path, timed=False)
        manifest = verify(tmp_path / "tiny/cpu")
        found = scores(outputs(tmp_path / "tiny/cpu"), labels)
        assert manifest.details == details
        if quantize == "int8":
            assert manifest.precision == "int8"
            assert (found[:, 0] == best[:, 0]).mean() >= 0.95
        else:
            np.testing.assert_allclose(found, best, atol=near)
    golden = read_golden(tmp_path / "tiny/cpu")
    reference = {str(row.request.inputs[0]): row.reference[0] for row in golden}
    np.testing.assert_allclose(
        scores([reference[text] for text in TEXTS if text in reference], labels),
        [row for row, text in zip(best, TEXTS, strict=True) if text in reference],
        atol=1e-5,
    )


@pytest.mark.foreign
def test_operators_that_onnx_lacks_are_named(home: Path, tmp_path: Path) -> None:
    options = SourceOptions(tokenizer=home / "tokenizer.json", labels=("no", "yes"))
    read_as(GraphSource, home / "mean.tflite", CLASSES, None, options)
    path = lite(tmp_path / "model.tflite", operator=129)
    signature = tflite_signature.read_signature(path)
    with raises("export_failed", path):
        environment.convert(path, signature, (0,), tmp_path / "model.onnx")


@pytest.mark.foreign
@pytest.mark.exhaustive(keep=1)
@pytest.mark.parametrize("name", ["lstm", "mean.tflite", "both.tflite"])
def test_a_tokenizer_of_more_tokens_than_the_embedding_has_rows_is_refused(
    home: Path, tmp_path: Path, name: str
) -> None:
    longer = Tokenizer.from_file(str(home / "tokenizer.json"))
    longer.add_tokens(["another"])
    longer.save(str(tmp_path / "longer.json"))
    labels = ("no", "yes") if name == "mean.tflite" else LABELS
    options = SourceOptions(tokenizer=tmp_path / "longer.json", labels=labels)
    source = read_as(GraphSource, home / name, CLASSES, 16, options)
    with pytest.raises(SourceError) as caught:
        plain(source, export(source, tmp_path / "exported"), tmp_path / "plain.onnx")
    other = ("tokenizer_mismatch", source.path, "longer.json", " 40, ")
    assert_problems(caught.value.problems, other)
