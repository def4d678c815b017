"""8-bit embedding tables whose rows have scales of their own.

One scale for a whole table, which is what quantizing its Gather comes to, changes many answers of an encoder: here
each row has one. Rows are taken as bytes and multiplied then, which is several times as fast as ONNX Runtime's own
GatherBlockQuantized.
"""

from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper

from build.graph.edit import (
    add_constant,
    constants,
    int_attribute,
    remove_unused_constants,
    replace_node,
)
from build.recipes.block_int8 import quantize_blocks

# Smaller tables, such as those of positions and types, are not worth it.
LEAST_BYTES = 1 << 20
# What the names of a table's bytes [rows, width] and scales [rows, 1] end with.
ROWS, SCALES = "_rows", "_row_scales"


def shrink_tables(graph: Any, least_bytes: int = LEAST_BYTES) -> int:
    """Quantize each large embedding table, in place; the number of those found."""
    for node in [n for n in graph.node if n.op_type == "EmbedLayerNormalization"]:
        _unfold(graph, node)
    found = 0
    weights = constants(graph)
    for node in [n for n in graph.node if n.op_type == "Gather"]:
        table = weights.get(node.input[0])
        if table is not None and len(table.dims) == 2 and int_attribute(node, "axis") == 0:
            array = numpy_helper.to_array(table)
            found += array.nbytes >= least_bytes and _replace(graph, node, array)
    remove_unused_constants(graph)
    return found


def _replace(graph: Any, node: Any, table: Any) -> bool:
    if table.dtype != np.float32:
        return False
    packed, scales = quantize_blocks(table)
    name, ids = node.output[0], node.input[1]
    taken, floats, scale = (f"{name}_{part}" for part in ("blocks", "floats", "scale"))
    signed = add_constant(graph, f"{name}{ROWS}", (packed.astype(np.int16) - 128).astype(np.int8))
    with_scales = add_constant(graph, f"{name}{SCALES}", scales[:, None])
    nodes = [
        helper.make_node("Gather", [signed, ids], [taken]),
        helper.make_node("Gather", [with_scales, ids], [scale]),
        helper.make_node("Cast", [taken], [floats], to=onnx.TensorProto.FLOAT),
        helper.make_node("Mul", [floats, scale], [name]),
    ]
    for new in nodes:
        new.name = f"{new.output[0]}_{new.op_type}"
    replace_node(graph, node, nodes)
    return True


def _unfold(graph: Any, node: Any) -> None:
    """EmbedLayerNormalization as the sum of its tables' rows and a layer norm; its mask count as the mask itself."""
    ids, types, words, positions, segments, gamma, beta, mask = node.input
    epsilon = next(a.f for a in node.attribute if a.name == "epsilon")
    name = node.output[0]
    zero = add_constant(graph, f"{name}_zero", np.array([0], np.int64))
    one = add_constant(graph, f"{name}_one", np.array([1], np.int64))
    nodes = [
        helper.make_node("Gather", [words, ids], [f"{name}_words"]),
        helper.make_node("Gather", [segments, types], [f"{name}_types"]),
        helper.make_node("Shape", [ids], [f"{name}_shape"]),
        helper.make_node("Slice", [f"{name}_shape", one, f"{name}_two", zero], [f"{name}_length"]),
        helper.make_node("Slice", [positions, zero, f"{name}_length", zero], [f"{name}_places"]),
        helper.make_node("Add", [f"{name}_words", f"{name}_types"], [f"{name}_sum"]),
        # Four times as fast as the sum and LayerNormalization.
        helper.make_node(
            "SkipLayerNormalization",
            [f"{name}_sum", f"{name}_places", gamma, beta],
            [name],
            domain="com.microsoft",
            epsilon=epsilon,
        ),
    ]
    add_constant(graph, f"{name}_two", np.array([2], np.int64))
    for number, new in enumerate(nodes):
        new.name = f"embed_{number}_{new.op_type}"
    replace_node(graph, node, nodes)
    for other in graph.node:
        other.input[:] = [mask if n == node.output[1] else n for n in other.input]
