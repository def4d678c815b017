"""Products that are quantized beside what a source has: constants that are no matrices, activations in 8 bits."""

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from build.graph.edit import make_model
from build.recipes.encoder import INT8, OPENVINO_INT8
from build.recipes.recipe import EncoderRecipe
from contracts.tasks import Runtime
from functions.inference.session import open_session
from tests.build.recipes.candidates import candidate

RANDOM = np.random.default_rng(7)
FEEDS = [{"input_ids": RANDOM.integers(0, 50, (1, length))} for length in (3, 9, 20)]
RECIPES = [recipe for recipe in (*INT8, *OPENVINO_INT8) if recipe.matmuls]


def constant(name: str, *shape: int) -> onnx.TensorProto:
    return numpy_helper.from_array(RANDOM.standard_normal(shape).astype(np.float32), name)


def assert_near(graph: Path, found: Path) -> None:
    """Check that a candidate answers as its graph does, but for 8 bits."""
    sessions = [open_session(path, threads=1, device="cpu") for path in (graph, found)]
    for feed in FEEDS:
        expected, answer = (session.run(None, feed)[0] for session in sessions)
        assert np.linalg.norm(answer - expected) < 0.1 * np.linalg.norm(expected)


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda recipe: recipe.name)
@pytest.mark.parametrize("shape", [(1, 16, 8), (16,)], ids=str)
def test_a_constant_of_one_axis_or_three_is_multiplied_in_floats(
    recipe: EncoderRecipe, shape: tuple[int, ...], tmp_path: Path
) -> None:
    nodes = [
        helper.make_node("Gather", ["table", "input_ids"], ["words"], name="words"),
        helper.make_node("MatMul", ["words", "matrix"], ["inner"], name="inner"),
        helper.make_node("Relu", ["inner"], ["positive"], name="positive"),
        helper.make_node("MatMul", ["positive", "other"], ["y"]),
    ]
    made = helper.make_graph(
        nodes,
        "products",
        [helper.make_tensor_value_info("input_ids", TensorProto.INT64, ["batch", "tokens"])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [constant("table", 50, 32), constant("matrix", 32, 16), constant("other", *shape)],
    )
    graph = tmp_path / "graph.onnx"
    onnx.save(make_model(made), graph)
    found = candidate(recipe, graph, graph, tmp_path / "made.onnx", FEEDS)
    assert_near(graph, found)
    # By blocks, weights have 8 bits as well; the table has them by itself.
    kept = {each.name: each.data_type for each in onnx.load(found).graph.initializer}
    assert kept["other"] == TensorProto.FLOAT
    assert "matrix" not in kept


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda recipe: recipe.name)
def test_a_source_that_quantizes_an_activation_by_itself_has_all_candidates(
    recipe: EncoderRecipe, tmp_path: Path
) -> None:
    # As TFLite's hybrid kernels do.
    nodes = [
        helper.make_node("Gather", ["table", "input_ids"], ["words"], name="words"),
        helper.make_node("DynamicQuantizeLinear", ["words"], ["small", "scale", "zero"]),
        helper.make_node("DequantizeLinear", ["small", "scale", "zero"], ["rounded"]),
        helper.make_node("MatMul", ["rounded", "matrix"], ["y"], name="inner"),
    ]
    made = helper.make_graph(
        nodes,
        "hybrid",
        [helper.make_tensor_value_info("input_ids", TensorProto.INT64, ["batch", "tokens"])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [constant("table", 50, 32), constant("matrix", 32, 16)],
    )
    graph = tmp_path / "graph.onnx"
    onnx.save(make_model(made), graph)
    found = candidate(recipe, graph, graph, tmp_path / "made.onnx", FEEDS)
    assert_near(graph, found)
    left = [node.op_type for node in onnx.load(found).graph.node]
    static = recipe.matmuls and recipe.matmuls.static and recipe.runtime is not Runtime.OPENVINO
    assert ("DynamicQuantizeLinear" in left) != bool(static)
