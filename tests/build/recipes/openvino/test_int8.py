"""A graph for OpenVINO has its matrix products between quantizers, and OpenVINO computes them in 8 bits."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from build.export.fusion import fuse, plain
from build.export.to_onnx import export
from build.families.reference import feeds_of
from build.graph.edit import constants, producers
from build.recipes.encoder import FP32_FUSED, OPENVINO_FP32, OPENVINO_INT8
from build.recipes.recipe import EncoderRecipe
from build.recipes.saturation import MAX_PAIR, largest_pair
from build.sources.source import TransformersSource
from build.workspace.runtimes import openvino_version
from contracts.prediction import PredictRequest
from contracts.tasks import Runtime, Task
from functions.inference.runtimes.openers import opener_of
from functions.inference.runtimes.openvino import INSTRUCTIONS
from functions.inference.token_batches import Feeds
from tests.build.recipes.candidates import candidate
from tests.fixtures.models.sources import read_as
from tests.fixtures.models.tiny_bert import classifier, texts

NONE, TWO, FOUR = OPENVINO_INT8
# Those of two layers, each with attention, its output and the two of the feed-forward network, and the head. In 8 bits
# attention has three, of queries, keys and values, and two of activations, which read four tensors.
PRODUCTS, MORE, ACTIVATIONS = 9, 4, 8
KINDS = """
import json, sys
from functions.inference.runtimes.openvino import limited, settings
limited()
import openvino
model = openvino.Core().compile_model(sys.argv[1], "CPU", settings(1)).get_runtime_model()
info = [node.get_rt_info() for node in model.get_ops()]
found = [(i["layerType"].astype(str), i["primitiveType"].astype(str)) for i in info]
print(json.dumps([kind for layer, kind in found if layer in ("FullyConnected", "MatMul")]))
"""


class Graphs(NamedTuple):
    plain: Path
    fused: Path
    feeds: list[Feeds]

    def made(self, recipe: EncoderRecipe, folder: Path) -> Path:
        return candidate(recipe, self.plain, self.fused, folder / "made.onnx", self.feeds)


@pytest.fixture(scope="module")
def graphs(tmp_path_factory: pytest.TempPathFactory) -> Graphs:
    folder = tmp_path_factory.mktemp("graphs")
    source = read_as(
        TransformersSource, classifier(folder / "classifier"), Task.TEXT_CLASSIFICATION
    )
    unfused = plain(source, export(source, folder / "exported"), folder / "plain.onnx")
    return Graphs(
        plain=unfused,
        fused=fuse(source, unfused, folder / "fused.onnx"),
        feeds=feeds_of(source, [PredictRequest(inputs=(text,)) for text in texts(24)]),
    )


def logits(runtime: Runtime, model: Path, feeds: list[Feeds]) -> np.ndarray:
    graph = opener_of(runtime)(model, threads=1, device="cpu", bind=False)
    return np.array([graph.forward({n: feed[n] for n in graph.input_names})[0] for feed in feeds])


def count(model: Path, operator: str) -> int:
    return [node.op_type for node in onnx.load(model).graph.node].count(operator)


@pytest.mark.parametrize(
    ("recipe", "products", "activations"),
    [
        (NONE, PRODUCTS + MORE, ACTIVATIONS),
        (TWO, PRODUCTS + MORE - 2, ACTIVATIONS),
        (FOUR, PRODUCTS - 4, 0),
    ],
)
def test_all_products_but_those_in_float_have_weights_that_cannot_saturate(
    graphs: Graphs, recipe: EncoderRecipe, products: int, activations: int, tmp_path: Path
) -> None:
    made = graphs.made(recipe, tmp_path)
    graph = onnx.load(made).graph
    weights = [
        numpy_helper.to_array(tensor)
        for name, tensor in constants(graph).items()
        if name.endswith("_weight_integers")
    ]
    assert len(weights) == products
    assert all(matrix.dtype == np.int8 for matrix in weights)
    assert max(largest_pair(matrix.astype(int)).max() for matrix in weights) <= MAX_PAIR + 1
    quantized = [node.input[1:3] for node in graph.node if node.op_type == "QuantizeLinear"]
    zeros = [numpy_helper.to_array(constants(graph)[zero]) for _, zero in quantized]
    # Queries, keys and values are signed, and their shares are not.
    assert sum(zero.dtype == np.int8 for zero in zeros) == activations * 3 // 4
    # A tensor that is quantized is given back once, and so is each matrix.
    assert count(made, "DequantizeLinear") == len(weights) + count(made, "QuantizeLinear")
    assert [path.name for path in tmp_path.iterdir()] == ["made.onnx"]


def test_a_product_before_a_tanh_stays_in_floats(graphs: Graphs, tmp_path: Path) -> None:
    """The pooler's, by whose bias the tanh comes."""
    graph = onnx.load(graphs.made(NONE, tmp_path)).graph
    made = producers(graph)
    (tanh,) = (node for node in graph.node if node.op_type == "Tanh")
    (product,) = (made[name] for name in made[tanh.input[0]].input if name in made)
    assert product.op_type == "MatMul"
    assert numpy_helper.to_array(constants(graph)[product.input[1]]).dtype == np.float32


def test_the_answers_are_nearly_those_of_the_floats(graphs: Graphs, tmp_path: Path) -> None:
    """By ONNX Runtime, which computes the same graph in floats between the quantizers."""
    exact = logits(Runtime.ONNX_RUNTIME, graphs.fused, graphs.feeds)
    found = logits(Runtime.ONNX_RUNTIME, graphs.made(NONE, tmp_path), graphs.feeds)
    assert 0 < np.linalg.norm(found - exact) / np.linalg.norm(exact) < 0.35


@pytest.mark.foreign
@pytest.mark.skipif(not openvino_version(), reason="`make openvino`")
def test_in_full_precision_openvino_answers_as_onnx_runtime(graphs: Graphs, tmp_path: Path) -> None:
    exact = logits(Runtime.ONNX_RUNTIME, graphs.made(FP32_FUSED, tmp_path), graphs.feeds)
    found = logits(Runtime.OPENVINO, graphs.made(OPENVINO_FP32, tmp_path), graphs.feeds)
    # With bfloat16, which it would take by itself where there is any, they would differ by a hundred times as much.
    assert np.abs(found - exact).max() < 1e-5


@pytest.mark.foreign
@pytest.mark.skipif(not openvino_version(), reason="`make openvino`")
def test_openvino_computes_in_8_bits_by_the_instructions_it_is_limited_to(
    graphs: Graphs, tmp_path: Path
) -> None:
    made = graphs.made(NONE, tmp_path)
    by_floats = logits(Runtime.ONNX_RUNTIME, made, graphs.feeds)
    found = logits(Runtime.OPENVINO, made, graphs.feeds)
    assert np.linalg.norm(found - by_floats) / np.linalg.norm(by_floats) < 0.1
    kinds = _kinds(made)
    assert sum(kind.endswith(("i8", "I8", "u8", "U8")) for kind in kinds) >= PRODUCTS + MORE
    assert not [kind for kind in kinds if "amx" in kind]
    narrow = _kinds(made, **{INSTRUCTIONS: "AVX2"})
    # By which attention may be fused or not.
    assert len(narrow) >= PRODUCTS + MORE
    assert not [kind for kind in narrow if "avx512" in kind]


def _kinds(model: Path, **environment: str) -> list[str]:
    """Return the kernels of the products, in a process with that environment."""
    printed = subprocess.run(
        [sys.executable, "-c", KINDS, str(model)],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, **environment},
    ).stdout
    found: list[str] = json.loads(printed)
    return found
