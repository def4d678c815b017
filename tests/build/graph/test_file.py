"""Graphs whose constants lie in a file beside them: written, read, changed, sealed and served like any other."""

import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import numpy_helper
from onnx.external_data_helper import uses_external_data

from build.export.fusion import fuse, fused_operators, plain
from build.export.generator import finish, kv_cache_fusion, prepare_causal
from build.export.to_onnx import export
from build.families.reference import feeds_of
from build.graph.file import constant_bytes, external_data_of, load, save
from build.proof.sealing import _files, write_manifest
from build.recipes.encoder import INT8
from build.recipes.recipe import WeightFormat
from build.recipes.weight_only import weight_only
from build.sources.source import TransformersSource
from contracts.manifest import Manifest, verify
from contracts.prediction import PredictRequest
from contracts.tasks import Task, Tier
from functions.inference.engine import Engine
from functions.inference.session import open_session
from functions.inference.token_batches import Feeds
from tests.build.recipes.candidates import candidate
from tests.fixtures.models.sources import read_as
from tests.fixtures.models.tiny_bert import classifier, texts
from tests.fixtures.models.tiny_decoders import PROMPTS, llama
from tests.fixtures.problems import raises

pytestmark = pytest.mark.build

REQUEST = PredictRequest(inputs=tuple(texts(6)))


def whole(path: Path, destination: Path) -> Path:
    """Return the same graph with its constants within it."""
    save(load(path), destination)
    assert not external_data_of(destination).exists()
    return destination


def answers(path: Path, feeds: Sequence[Feeds]) -> NDArray[np.float32]:
    session = open_session(path, threads=1, device="cpu")
    names = [node.name for node in session.get_inputs()]
    return np.concatenate([session.run(None, {n: feed[n] for n in names})[0] for feed in feeds])


def test_what_one_file_does_not_hold_lies_beside_it(tmp_path: Path) -> None:
    table = np.arange(4096, dtype=np.float32).reshape(64, 64)
    node = onnx.helper.make_node("Gather", ["table", "ids"], ["rows"])
    ids, rows = (
        onnx.helper.make_tensor_value_info(name, kind, None)
        for name, kind in (("ids", onnx.TensorProto.INT64), ("rows", onnx.TensorProto.FLOAT))
    )
    constants = [numpy_helper.from_array(table, "table")]
    model = onnx.helper.make_model(onnx.helper.make_graph([node], "g", [ids], [rows], constants))
    path, size = tmp_path / "model.onnx", table.nbytes
    assert constant_bytes(model.graph) == size
    before = model.SerializeToString()
    save(model, path, max_bytes=size - 1)
    assert model.SerializeToString() == before  # it can be changed further
    assert external_data_of(path).stat().st_size == size
    assert path.stat().st_size < 1000
    assert uses_external_data(onnx.load(path, load_external_data=False).graph.initializer[0])
    (read,) = onnx.load(path).graph.initializer
    np.testing.assert_array_equal(numpy_helper.to_array(read), table)
    save(model, path, max_bytes=size)
    assert not external_data_of(path).exists()
    assert onnx.load(path) == model


def test_an_encoder_is_fused_and_quantized_from_such_graphs(tmp_path: Path) -> None:
    source = read_as(TransformersSource, classifier(tmp_path / "source"), Task.TEXT_CLASSIFICATION)
    split = plain(source, export(source, tmp_path / "exported"), tmp_path / "split.onnx")
    assert external_data_of(split).stat().st_size > 10_000
    single = whole(split, tmp_path / "single.onnx")
    fused = fuse(source, single, tmp_path / "fused.onnx")
    same = fuse(source, split, tmp_path / "same.onnx")
    assert fused_operators(same) == fused_operators(fused) != "nothing"
    feeds = feeds_of(source, [REQUEST])
    np.testing.assert_allclose(answers(fused, feeds), answers(same, feeds), atol=1e-6)
    beside = fused
    fused = whole(beside, tmp_path / "within.onnx")
    for recipe in INT8[:4]:
        one = candidate(recipe, single, fused, tmp_path / "one.onnx", feeds)
        other = candidate(recipe, split, beside, tmp_path / "other.onnx", feeds)
        assert one.read_bytes() == other.read_bytes()


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Return the same llama prepared as it is, and with its graph's constants beside it."""
    folder = tmp_path_factory.mktemp("prepared")
    single, split = folder / "single", folder / "split"
    split.mkdir()
    prepare_causal(llama(folder / "llama"), split, 32)
    assert external_data_of(split / "model.onnx").stat().st_size > 10_000
    shutil.copytree(split, single, ignore=shutil.ignore_patterns("model.onnx*"))
    whole(split / "model.onnx", single / "model.onnx")
    return single, split


def test_a_generator_is_finished_from_such_graphs_and_to_them(
    prepared: tuple[Path, Path], tmp_path: Path
) -> None:
    single, split = prepared
    changes = [
        change for change in (kv_cache_fusion(single), weight_only(WeightFormat.INT8)) if change
    ]
    assert len(changes) == 2
    for name, of in (("one", single), ("other", split)):
        (tmp_path / name).mkdir()
        finish(of, tmp_path / name, *changes)
    one, other = (tmp_path / name / "model.onnx" for name in ("one", "other"))
    assert one.read_bytes() == other.read_bytes()
    (tmp_path / "large").mkdir()
    finish(split, tmp_path / "large", changes[0], max_bytes=0)
    large = tmp_path / "large/model.onnx"
    assert external_data_of(large).stat().st_size > large.stat().st_size
    assert sorted(path.name for path in large.parent.iterdir()) == ["model.onnx", "model.onnx.data"]
    open_session(large, threads=1, device="cpu")


def test_such_an_artefact_is_sealed_with_its_data_and_served(
    prepared: tuple[Path, Path], tmp_path: Path
) -> None:
    single, _ = prepared
    source = read_as(TransformersSource, single.parent / "llama", Task.TEXT_GENERATION, 32)
    answers = []
    for name, max_bytes in (("small", 1 << 30), ("large", 0)):
        folder = tmp_path / name
        folder.mkdir()
        finish(single, folder, max_bytes=max_bytes)
        shutil.copyfile(source.tokenizer, folder / "tokenizer.json")
        manifest = Manifest(
            model="tiny",
            task=source.task.name,
            tier=Tier.CPU,
            precision="fp32",
            recipe="fp32",
            max_tokens=32,
            details=source.details,
            toolchain={},
        )
        sealed = write_manifest(folder, manifest, files=_files(folder))
        request = PredictRequest(inputs=tuple(PROMPTS[:3]), parameters={"max_new_tokens": 8})
        answers.append(Engine.load(folder).predict(request).outputs)
    assert answers[0] == answers[1]
    assert "model.onnx.data" in [file.path for file in sealed.files]
    data = folder / "model.onnx.data"
    data.write_bytes(data.read_bytes()[:-1] + b"x")
    with raises("artefact_broken", data, "sealed"):
        verify(folder)
