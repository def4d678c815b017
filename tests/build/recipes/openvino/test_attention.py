"""Attention as ONNX's own operators answers as ONNX Runtime's operator does, and what is not of BERT's form stays."""

from collections.abc import Callable
from typing import Any

import numpy as np
import onnxruntime
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper

from build.graph.edit import CONTRIB, add_constant, make_model
from build.recipes.openvino.attention import Products, expand_attention

WIDTH, HEADS = 8, 2
NAME = "attention"


def model(layers: int = 1, **attributes: Any) -> Any:
    """Return attentions in a row, whose mask is an input of the graph behind a Cast."""
    values = np.random.default_rng(7)
    inputs = [
        helper.make_tensor_value_info("x", TensorProto.FLOAT, ["b", "t", WIDTH]),
        helper.make_tensor_value_info("mask", TensorProto.INT64, ["b", "t"]),
    ]
    outputs = [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["b", "t", WIDTH])]
    graph = helper.make_graph(
        [helper.make_node("Cast", ["mask"], ["read"], to=TensorProto.INT32)],
        "graph",
        inputs,
        outputs,
    )
    names = ["x", *(f"{NAME}_{i}" for i in range(layers - 1)), "y"]
    for place in range(layers):
        weights = add_constant(
            graph, f"w{place}", values.normal(size=(WIDTH, 3 * WIDTH)).astype(np.float32)
        )
        added = add_constant(graph, f"b{place}", values.normal(size=3 * WIDTH).astype(np.float32))
        read, made = names[place : place + 2]
        node = helper.make_node(
            "Attention",
            [read, weights, added, "read"],
            [made],
            domain=CONTRIB,
            num_heads=HEADS,
            **attributes,
        )
        graph.node.append(node)
    return make_model(graph)


def answer(graph: Any) -> NDArray[np.float32]:
    """Return what a batch of two texts gives, of which one is padded."""
    session = onnxruntime.InferenceSession(graph.SerializeToString())
    values = np.random.default_rng(3).normal(size=(2, 5, WIDTH)).astype(np.float32)
    mask = np.array([[1, 1, 1, 1, 1], [1, 1, 1, 0, 0]], np.int64)
    found: NDArray[np.float32] = session.run(None, {"x": values, "mask": mask})[0]
    return found


@pytest.mark.parametrize(
    "attributes", [{}, {"scale": 0.3}, {"mask_filter_value": -50.0}, {"scale": 0.0}]
)
def test_it_answers_as_the_operator_does(attributes: dict[str, float]) -> None:
    whole = model(2, **attributes)
    exact = answer(whole)
    products = expand_attention(whole.graph)
    assert products == [
        Products(
            floats=tuple(f"{name}_{part}" for part in ("queries", "keys", "values")),
            shares=f"{name}_shares",
        )
        for name in (f"{NAME}_0", "y")
    ]
    operators = [node.op_type for node in whole.graph.node]
    # The mask is made once for all layers, of its one input.
    assert (operators.count("Attention"), operators.count("Unsqueeze")) == (0, 1)
    assert {tensor.name for tensor in whole.graph.initializer}.isdisjoint({"w0", "b0", "w1", "b1"})
    assert np.abs(answer(whole) - exact).max() < 1e-4 * np.abs(exact).max()


def _without_a_mask(node: Any) -> None:
    del node.input[3:]


def _with_positions(node: Any) -> None:
    node.input.extend(["", "positions"])


def _one_way(node: Any) -> None:
    node.attribute.append(helper.make_attribute("unidirectional", 1))


def _of_onnx(node: Any) -> None:
    node.domain = ""


def _masked_by_another(node: Any) -> None:
    node.input[3] = "lengths"


def _with_weights_of_a_node(node: Any) -> None:
    node.input[1] = "made"


@pytest.mark.parametrize(
    "change",
    [
        _without_a_mask,
        _with_positions,
        _one_way,
        _of_onnx,
        _masked_by_another,
        _with_weights_of_a_node,
    ],
)
def test_one_of_another_form_stays(change: Callable[[Any], None]) -> None:
    whole = model()
    change(whole.graph.node[1])
    before = whole.graph.node[1].SerializeToString()
    assert expand_attention(whole.graph) == []
    assert [node.SerializeToString() for node in whole.graph.node[1:]] == [before]
