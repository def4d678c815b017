"""Attention as the operators that it is made of, so that OpenVINO can multiply its activations in 8 bits as well.

It fuses these into one kernel again, in the precision of what they read: https://docs.openvino.ai/2026 (Snippets).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from onnx import TensorProto, helper

from build.graph.edit import (
    CONTRIB,
    Floats,
    add_constant,
    constants,
    producers,
    remove_unused_constants,
    replace_node,
)
from build.graph.tensors import array_of

# Those that this module knows; any other asks for what BERT's attention has not.
ATTRIBUTES = {"num_heads", "mask_filter_value", "scale"}
# Of ONNX Runtime's Attention, for a token that the mask leaves out:
# https://github.com/microsoft/onnxruntime/blob/main/docs/ContribOperators.md#com.microsoft.Attention
LEFT_OUT = -10000.0
# The axes of queries and values behind [batch, tokens, heads, channels], and those of keys, which are transposed.
ROWS, COLUMNS = (0, 2, 1, 3), (0, 2, 3, 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Products:
    """The tensors that the two products of an attention read: queries, keys and values, and shares of at most 1."""

    floats: Sequence[str]
    shares: str


def expand_attention(graph: Any) -> list[Products]:
    """Replace each of ONNX Runtime's Attentions of BERT's form by ONNX's own operators, in place.

    Return what their products read. One of another form stays as it is.
    """
    known, masks = constants(graph), _masks(graph)
    found: list[Products] = []
    biases: dict[str, str] = {}
    for node in [node for node in graph.node if _is_of_bert(node, known, masks)]:
        new, mask = [], node.input[3]
        if mask not in biases:
            biases[mask] = f"{mask}_bias"
            left_out = _attributes(node).get("mask_filter_value", LEFT_OUT)
            new += _bias(graph, mask, biases[mask], left_out)
        nodes, products = _expanded(graph, node, known, biases[mask])
        replace_node(graph, node, [*new, *nodes])
        found.append(products)
    remove_unused_constants(graph)
    return found


def _attributes(node: Any) -> dict[str, Any]:
    return {each.name: helper.get_attribute_value(each) for each in node.attribute}


def _masks(graph: Any) -> set[str]:
    """Return the tensors that are a mask of [batch, tokens]: an input of the graph, or one of another type."""
    inputs = {each.name for each in graph.input}
    made = producers(graph).items()
    return inputs | {
        name for name, node in made if node.op_type == "Cast" and node.input[0] in inputs
    }


def _is_of_bert(node: Any, known: dict[str, Any], masks: set[str]) -> bool:
    if (node.op_type, node.domain) != ("Attention", CONTRIB):
        return False
    weights = known.get(node.input[1])
    of_bert = len(node.input) > 3 and not any(node.input[4:]) and node.input[3] in masks
    square = weights is not None and weights.dims[1] == 3 * weights.dims[0]
    return bool(
        of_bert and square and node.input[2] in known and _attributes(node).keys() <= ATTRIBUTES
    )


def _bias(graph: Any, mask: str, name: str, left_out: float) -> list[Any]:
    """Return the nodes that make of a mask what is added to the scores: 0 for a token that is read."""
    one = add_constant(graph, f"{name}_one", np.array(1, np.float32))
    factor = add_constant(graph, f"{name}_factor", np.array(left_out, np.float32))
    axes = add_constant(graph, f"{name}_axes", np.array([1, 2], np.int64))
    return [
        helper.make_node("Cast", [mask], [f"{name}_mask"], to=TensorProto.FLOAT),
        helper.make_node("Sub", [one, f"{name}_mask"], [f"{name}_left_out"]),
        helper.make_node("Mul", [f"{name}_left_out", factor], [f"{name}_flat"]),
        helper.make_node("Unsqueeze", [f"{name}_flat", axes], [name]),
    ]


def _expanded(
    graph: Any, node: Any, known: dict[str, Any], bias: str
) -> tuple[list[Any], Products]:
    """Return the nodes that stand for an attention, and what their products read."""
    name, attributes = node.output[0], _attributes(node)
    weights, added = (array_of(known[each]) for each in node.input[1:3])
    width, heads = len(weights), int(attributes["num_heads"])
    size = width // heads
    split = add_constant(graph, f"{name}_split", np.array([0, 0, heads, size], np.int64))
    whole = add_constant(graph, f"{name}_whole", np.array([0, 0, width], np.int64))
    # The factor of the scores goes into the weights of the queries.
    factors = {"queries": attributes.get("scale") or size**-0.5, "keys": 1.0, "values": 1.0}
    nodes: list[Any] = []
    for place, (part, factor) in enumerate(factors.items()):
        columns = slice(place * width, (place + 1) * width)
        matrix, vector = weights[:, columns] * factor, added[columns] * factor
        own = f"{name}_{part}"
        nodes += _linear(graph, node.input[0], own, matrix, vector)
        nodes += [
            helper.make_node("Reshape", [own, split], [f"{own}_heads"]),
            helper.make_node(
                "Transpose",
                [f"{own}_heads"],
                [f"{own}_by_head"],
                perm=COLUMNS if part == "keys" else ROWS,
            ),
        ]
    nodes += _weighted_sums(name, bias, whole)
    floats = tuple(f"{name}_{part}" for part in factors)
    return nodes, Products(floats=floats, shares=f"{name}_shares")


def _linear(graph: Any, read: str, name: str, matrix: Floats, vector: Floats) -> list[Any]:
    weights = add_constant(graph, f"{name}_weight", np.ascontiguousarray(matrix, np.float32))
    added = add_constant(graph, f"{name}_added", np.ascontiguousarray(vector, np.float32))
    return [
        helper.make_node("MatMul", [read, weights], [f"{name}_product"]),
        helper.make_node("Add", [f"{name}_product", added], [name]),
    ]


def _weighted_sums(name: str, bias: str, whole: str) -> list[Any]:
    """Return the nodes behind queries, keys and values; `whole` is the shape with the heads side by side."""
    queries, keys, values = (f"{name}_{each}_by_head" for each in ("queries", "keys", "values"))
    scores, masked, shares, sums, rows = (
        f"{name}_{each}" for each in ("scores", "masked", "shares", "sums", "rows")
    )
    return [
        helper.make_node("MatMul", [queries, keys], [scores]),
        helper.make_node("Add", [scores, bias], [masked]),
        helper.make_node("Softmax", [masked], [shares], axis=-1),
        helper.make_node("MatMul", [shares, values], [sums]),
        helper.make_node("Transpose", [sums], [rows], perm=ROWS),
        helper.make_node("Reshape", [rows, whole], [name]),
    ]
