"""Int8 embedding tables with one scale per row.

ONNX Runtime's quantizer gives a table one scale, which changes many answers of an encoder. Its GatherBlockQuantized has
a scale per block, but takes several times as long as gathering int8 rows and multiplying them by their scales.
"""

from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper

from build.graph.edit import (
    CONTRIB,
    add_constant,
    constants,
    int_attribute,
    remove_unused_constants,
    replace_node,
)
from build.recipes.block_int8 import quantize_blocks

# Smaller tables, such as those of positions and token types, save too little to be rounded.
MIN_BYTES = 1 << 20
# Suffixes of a table's int8 rows [rows, width] and scales [rows, 1].
ROWS, SCALES = "_rows", "_row_scales"


def quantize_tables(graph: Any, min_bytes: int = MIN_BYTES) -> int:
    """Quantize the embedding tables of at least that size, in place; return how many there were."""
    for node in [n for n in graph.node if n.op_type == "EmbedLayerNormalization"]:
        _unfuse(graph, node)
    count = 0
    weights = constants(graph)
    for node in [n for n in graph.node if n.op_type == "Gather"]:
        table = weights.get(node.input[0])
        if table is not None and len(table.dims) == 2 and int_attribute(node, "axis") == 0:
            array = numpy_helper.to_array(table)
            if array.dtype == np.float32 and array.nbytes >= min_bytes:
                _replace(graph, node, array)
                count += 1
    remove_unused_constants(graph)
    return count


def _replace(graph: Any, node: Any, table: Any) -> None:
    packed, scales = quantize_blocks(table)
    name, ids = node.output[0], node.input[1]
    rows, floats, scale = (f"{name}_{part}" for part in ("blocks", "floats", "scale"))
    signed = add_constant(graph, f"{name}{ROWS}", (packed.astype(np.int16) - 128).astype(np.int8))
    row_scales = add_constant(graph, f"{name}{SCALES}", scales[:, None])
    nodes = [
        helper.make_node("Gather", [signed, ids], [rows]),
        helper.make_node("Gather", [row_scales, ids], [scale]),
        helper.make_node("Cast", [rows], [floats], to=onnx.TensorProto.FLOAT),
        helper.make_node("Mul", [floats, scale], [name]),
    ]
    for new in nodes:
        new.name = f"{new.output[0]}_{new.op_type}"
    replace_node(graph, node, nodes)


def _unfuse(graph: Any, node: Any) -> None:
    """Replace EmbedLayerNormalization by lookups, sums and a layer norm, and its count of tokens by the mask itself.

    https://github.com/microsoft/onnxruntime/blob/main/docs/ContribOperators.md#com.microsoft.EmbedLayerNormalization
    """
    ids, types, words, positions, type_table, gamma, beta, mask = node.input
    epsilon = next(a.f for a in node.attribute if a.name == "epsilon")
    name = node.output[0]
    zero = add_constant(graph, f"{name}_zero", np.array([0], np.int64))
    one = add_constant(graph, f"{name}_one", np.array([1], np.int64))
    two = f"{name}_two"
    nodes = [
        helper.make_node("Gather", [words, ids], [f"{name}_words"]),
        helper.make_node("Gather", [type_table, types], [f"{name}_types"]),
        helper.make_node("Shape", [ids], [f"{name}_shape"]),
        helper.make_node("Slice", [f"{name}_shape", one, two, zero], [f"{name}_length"]),
        helper.make_node("Slice", [positions, zero, f"{name}_length", zero], [f"{name}_places"]),
        helper.make_node("Add", [f"{name}_words", f"{name}_types"], [f"{name}_sum"]),
        # Four times as fast as an Add and a LayerNormalization.
        helper.make_node(
            "SkipLayerNormalization",
            [f"{name}_sum", f"{name}_places", gamma, beta],
            [name],
            domain=CONTRIB,
            epsilon=epsilon,
        ),
    ]
    add_constant(graph, two, np.array([2], np.int64))
    for number, new in enumerate(nodes):
        new.name = f"embed_{number}_{new.op_type}"
    replace_node(graph, node, nodes)
    for other in graph.node:
        other.input[:] = [mask if n == node.output[1] else n for n in other.input]
