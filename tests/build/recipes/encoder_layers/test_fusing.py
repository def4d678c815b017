"""Layers of a BERT encoder become one operator each, where they are exactly what the operator computes."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from build.export.fusion import fuse, plain
from build.export.to_onnx import export
from build.families.reference import feeds_of
from build.graph.edit import add_constant, constants, producers
from build.graph.observe import with_observed_outputs
from build.kernels.libraries import copy_libraries
from build.recipes.encoder import FP32_FUSED, KERNELS, SMOOTHED, calibrate, make
from build.recipes.encoder_layers.fusing import OPERATOR, fuse_layers, packed
from build.sources.source import TransformersSource
from contracts.manifest import kernels_in
from contracts.prediction import PredictRequest
from contracts.tasks import Task
from functions.inference.session import open_session
from functions.inference.token_batches import Feeds
from tests.build.recipes.candidates import candidate
from tests.fixtures.models.sources import read_as
from tests.fixtures.models.tiny_bert import LABELS, headed, texts

LAYERS = 2


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> TransformersSource:
    # Of 16 columns each, the fewest that the operator takes.
    folder = headed(
        tmp_path_factory.mktemp("source") / "classifier",
        "BertForSequenceClassification",
        labels=LABELS,
        num_attention_heads=2,
    )
    return read_as(TransformersSource, folder, Task.TEXT_CLASSIFICATION)


@pytest.fixture(scope="module")
def feeds(source: TransformersSource) -> list[Feeds]:
    return feeds_of(source, [PredictRequest(inputs=(text,)) for text in texts(40)])


@pytest.fixture(scope="module")
def fused(source: TransformersSource, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("graph")
    path = plain(source, export(source, folder / "exported"), folder / "plain.onnx")
    return fuse(source, path, folder / "fused.onnx")


@pytest.fixture(scope="module")
def smoothed(fused: Path, feeds: list[Feeds], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("calibrated")
    calibrate(fused, folder, feeds)
    return folder / SMOOTHED


def operators(model: Any) -> list[str]:
    return [node.op_type for node in model.graph.node]


@pytest.mark.parametrize("which", ["fused", "smoothed"])
def test_each_layer_of_a_graph_becomes_one_operator(
    which: str, request: pytest.FixtureRequest
) -> None:
    model = onnx.load(request.getfixturevalue(which))
    before = len(model.graph.initializer)
    assert fuse_layers(model) == LAYERS
    found = operators(model)
    assert found.count(OPERATOR) == LAYERS
    assert not {"Attention", "BiasGelu", "MatMul"} & set(found)
    # Only that of the embeddings is left.
    assert found.count("SkipLayerNormalization") + found.count("EmbedLayerNormalization") <= 1
    assert len(model.graph.initializer) > before


def test_a_graph_without_such_layers_is_left_as_it_is(fused: Path) -> None:
    model = onnx.load(fused)
    for node in model.graph.node:
        if node.op_type == "BiasGelu":
            node.op_type = "QuickGelu"
    before = model.SerializeToString()
    assert fuse_layers(model) == 0
    assert model.SerializeToString() == before


def without_mask(model: Any) -> None:
    for node in model.graph.node:
        if node.op_type == "Attention":
            del node.input[3:]


def with_bias_of_positions(model: Any) -> None:
    for node in model.graph.node:
        if node.op_type == "Attention":
            node.input.extend(["", add_constant(model.graph, f"{node.name}b", np.zeros(1, "f4"))])


def causal(model: Any) -> None:
    for node in model.graph.node:
        if node.op_type == "Attention":
            node.attribute.append(helper.make_attribute("unidirectional", 1))


def other_residual(model: Any) -> None:
    for node in layer_ends(model):
        node.input[1] = node.input[0]


def other_epsilon(model: Any) -> None:
    for node in layer_ends(model):
        for attribute in node.attribute:
            attribute.f = 1e-3


def computed_bias(model: Any) -> None:
    for node in layer_ends(model):
        name = f"{node.input[4]}_computed"
        model.graph.node.insert(0, helper.make_node("Identity", [node.input[4]], [name]))
        node.input[4] = name


def narrow_heads(model: Any) -> None:
    for node in model.graph.node:
        for attribute in node.attribute:
            if attribute.name == "num_heads":
                attribute.i = 4  # of 8 columns each


def layer_ends(model: Any) -> list[Any]:
    """Return the second normalization of each layer."""
    makers = producers(model.graph)
    ends = [n for n in model.graph.node if n.op_type == "SkipLayerNormalization"]
    made = [(end, makers.get(end.input[0])) for end in ends]
    return [
        end
        for end, product in made
        if product is not None and makers[product.input[0]].op_type == "BiasGelu"
    ]


@pytest.mark.parametrize(
    "change",
    [
        without_mask,
        with_bias_of_positions,
        causal,
        other_residual,
        other_epsilon,
        computed_bias,
        narrow_heads,
    ],
)
def test_a_layer_that_differs_in_one_thing_is_left_as_it_is(fused: Path, change: Any) -> None:
    model = onnx.load(fused)
    change(model)
    assert fuse_layers(model) == 0


def test_weights_are_packed_in_blocks_of_16_columns_and_groups_of_4_rows() -> None:
    matrix = np.arange(8 * 32, dtype=np.int64).reshape(8, 32).astype(np.int8)
    blocks = packed(matrix)
    assert blocks.shape == (2, 2, 16, 4)
    for row, column in ((0, 0), (5, 17), (7, 31)):
        assert blocks[column // 16, row // 4, column % 16, row % 4] == matrix[row, column]


def test_an_operator_has_the_sums_of_its_integers(smoothed: Path) -> None:
    model = onnx.load(smoothed)
    fuse_layers(model)
    arrays = {k: numpy_helper.to_array(v) for k, v in constants(model.graph).items()}
    weights = [name for name in arrays if name.endswith("_down_weight")]
    assert len(weights) == LAYERS
    for name in weights:
        sums = arrays[name].astype(np.int64).sum(axis=(1, 3)).reshape(-1)
        assert np.array_equal(sums, arrays[name.replace("_weight", "_sum")])


@pytest.mark.foreign
def test_the_candidate_answers_nearly_as_full_precision_does(
    fused: Path, feeds: list[Feeds], tmp_path: Path
) -> None:
    exact = make(FP32_FUSED, fused, tmp_path / "exact.onnx")
    made = candidate(KERNELS, fused, fused, tmp_path / "model.onnx", feeds)
    one, other = logits(exact, feeds), logits(made, feeds)
    assert np.abs(one - other).max() < 0.15 * np.abs(one).max()
    assert (one.argmax(axis=1) == other.argmax(axis=1)).mean() >= 0.95
    assert {path.name for path in tmp_path.glob("*.so")} == {
        "kernels-x86_64.so",
        "kernels-aarch64.so",
    }


@pytest.mark.foreign
def test_a_text_is_answered_alike_whatever_texts_are_beside_it(
    smoothed: Path, feeds: list[Feeds], tmp_path: Path
) -> None:
    model = onnx.load(smoothed)
    fuse_layers(model)
    onnx.save(model, tmp_path / "model.onnx")
    copy_libraries(tmp_path)
    session = open_session(
        tmp_path / "model.onnx", threads=1, device="cpu", kernels=kernels_in(tmp_path)
    )
    names = [node.name for node in session.get_inputs()]
    widest = max(feed["input_ids"].shape[1] for feed in feeds)
    together = {
        name: np.concatenate(
            [np.pad(f[name], ((0, 0), (0, widest - f[name].shape[1]))) for f in feeds]
        )
        for name in names
    }
    found = session.run(None, together)[0]
    alone = [session.run(None, {name: feed[name] for name in names})[0][0] for feed in feeds]
    # What is left in floats may round otherwise in a product of more rows.
    assert np.allclose(found, np.array(alone), rtol=1e-4, atol=1e-5)


@pytest.mark.foreign
def test_the_tensors_of_a_graph_with_operators_of_our_own_are_observed(
    fused: Path, feeds: list[Feeds], tmp_path: Path
) -> None:
    made = candidate(KERNELS, fused, fused, tmp_path / "model.onnx", feeds)
    model, scratch = onnx.load(made), tmp_path / "elsewhere/observed.onnx"
    scratch.parent.mkdir()
    (last,) = [n.output[0] for n in model.graph.node if n.op_type == OPERATOR][-1:]
    with with_observed_outputs(model, [last], scratch, kernels=kernels_in(tmp_path)) as run:
        (found,) = run(feeds[0])
    assert found.shape[:2] == feeds[0]["input_ids"].shape


def logits(model: Path, feeds: list[Feeds]) -> Any:
    session = open_session(model, threads=1, device="cpu", kernels=kernels_in(model.parent))
    names = [node.name for node in session.get_inputs()]
    return np.array([session.run(None, {n: feed[n] for n in names})[0][0] for feed in feeds])
