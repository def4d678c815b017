"""Weights as large as 16-bit sums bear, and products as single operators."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from build.graph.edit import make_model
from build.recipes.dynamic_int8 import quantize as quantize_all
from build.recipes.integer_matmul import fuse_integer_matmuls
from build.recipes.saturation import largest_pair, quantize, requantize
from functions.inference.session import open_session

RANDOM = np.random.default_rng(5)


@pytest.mark.parametrize("rows", [1, 2, 7, 64])
def test_no_pair_of_neighbouring_weights_saturates_a_sum_of_16_bits(rows: int) -> None:
    integers, scales = quantize(RANDOM.standard_t(3, (rows, 40)).astype(np.float32))
    assert integers.dtype == np.int8
    assert 255 * int(largest_pair(integers.astype(np.int64)).max(initial=0)) < 2**15
    assert scales.shape == (40,)


def test_weights_are_at_least_as_fine_as_with_7_bits_and_mostly_finer() -> None:
    matrix = RANDOM.standard_normal((384, 200)).astype(np.float32)
    _, scales = quantize(matrix)
    seven = np.abs(matrix).max(axis=0) / 63.5
    assert (scales <= seven * 1.0001).all()
    assert np.median(scales / seven) < 0.8


def test_a_column_of_zeros_stays_zero() -> None:
    integers, scales = quantize(np.zeros((4, 2), np.float32))
    assert not integers.any()
    assert (scales > 0).all()


@pytest.mark.parametrize("ranges", ["dynamic", "static"])
@pytest.mark.parametrize("readers", [1, 2])
def test_a_joined_product_answers_what_its_parts_did(
    ranges: str, readers: int, tmp_path: Path
) -> None:
    model = product(ranges, readers)
    onnx.save(model, tmp_path / "parts.onnx")
    assert fuse_integer_matmuls(model.graph) == readers
    onnx.save(model, tmp_path / "joined.onnx")
    x = {"x": RANDOM.standard_normal((3, 5, 16)).astype(np.float32)}
    parts, joined = (
        open_session(tmp_path / name, threads=1, device="cpu").run(None, x)
        for name in ("parts.onnx", "joined.onnx")
    )
    for one, other in zip(parts, joined, strict=True):
        np.testing.assert_allclose(other, one, rtol=1e-5, atol=1e-6)
    kinds = {node.op_type for node in model.graph.node}
    assert kinds.isdisjoint({"MatMulInteger", "Cast", "Mul"})


def test_a_product_whose_sums_are_read_elsewhere_is_left_alone() -> None:
    model = product("dynamic", 1)
    model.graph.output.append(helper.make_tensor_value_info("sums0", TensorProto.INT32, None))
    before = model.SerializeToString()
    assert fuse_integer_matmuls(model.graph) == 0
    assert model.SerializeToString() == before


def product(ranges: str, readers: int) -> onnx.ModelProto:
    """Return products of one input, each with weights of its own, as `quantize_dynamic` leaves them."""
    constants = {"step": np.array(0.03, np.float32), "zero": np.array(120, np.uint8)}
    static = helper.make_node("QuantizeLinear", ["x", "step", "zero"], ["integers"])
    found = helper.make_node("DynamicQuantizeLinear", ["x"], ["integers", "step", "zero"])
    nodes = [static if ranges == "static" else found]
    if ranges == "dynamic":
        constants = {}
    for i in range(readers):
        weights, scales = quantize(RANDOM.standard_normal((16, 8)).astype(np.float32))
        constants |= {f"w{i}": weights, f"s{i}": scales, f"z{i}": np.zeros(8, np.int8)}
        nodes += [
            helper.make_node("MatMulInteger", ["integers", f"w{i}", "zero", f"z{i}"], [f"sums{i}"]),
            helper.make_node("Cast", [f"sums{i}"], [f"floats{i}"], to=TensorProto.FLOAT),
            helper.make_node("Mul", ["step", f"s{i}"], [f"both{i}"]),
            helper.make_node("Mul", [f"floats{i}", f"both{i}"], [f"y{i}"]),
        ]
    graph = helper.make_graph(
        nodes,
        "product",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, None)],
        [helper.make_tensor_value_info(f"y{i}", TensorProto.FLOAT, None) for i in range(readers)],
        [numpy_helper.from_array(array, name) for name, array in constants.items()],
    )
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("com.microsoft", 1)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=9)


def test_weights_per_channel_are_the_same_whatever_scales_the_graph_had() -> None:
    model = multiplied((16, 8), (8, 4))
    made = []
    for per_channel in (True, False):
        quantized = quantize_all(model, ["MatMul"], per_channel=per_channel)
        before = quantized.SerializeToString()
        assert requantize(quantized, model.graph) == 2
        assert quantized.SerializeToString() != before
        made.append(quantized.SerializeToString())
    assert made[0] == made[1]


def multiplied(*shapes: tuple[int, ...]) -> Any:
    """Return a graph of one product after the other, by constants of those shapes."""
    names = ["x", *(f"y{i}" for i in range(len(shapes)))]
    constants = [
        numpy_helper.from_array(RANDOM.standard_normal(shape).astype(np.float32), f"w{i}")
        for i, shape in enumerate(shapes)
    ]
    nodes = [
        helper.make_node("MatMul", [names[i], f"w{i}"], [names[i + 1]], name=f"product{i}")
        for i in range(len(shapes))
    ]
    x, y = (
        helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", None, None])
        for name in (names[0], names[-1])
    )
    return make_model(helper.make_graph(nodes, "products", [x], [y], constants))
