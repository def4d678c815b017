"""Int8 embedding tables with one scale per row.

ONNX Runtime's quantizer gives a table one scale, which changes many answers of an encoder. Its GatherBlockQuantized has
a scale per block, but takes several times as long as gathering int8 rows and multiplying them by their scales.
"""

from typing import Any

import numpy as np
import onnx
from onnx import helper

from build.graph.edit import (
    CONTRIB,
    add_constant,
    constants,
    int_attribute,
    remove_unused_constants,
    replace_node,
)
from build.graph.output import name_nodes
from build.graph.tensors import array_of
from build.recipes.block_int8 import quantize_blocks

# Smaller tables, such as those of positions and token types, save too little to be rounded.
MIN_BYTES = 1 << 20
# Suffixes of a table's int8 rows [rows, width] and scales [rows, 1].
ROWS, SCALES = "_rows", "_row_scales"


def quantize_tables(graph: Any, min_bytes: int = MIN_BYTES) -> int:
    """Quantize the embedding tables of at least that size, in place; return how many lookups there were."""
    for node in [n for n in graph.node if n.op_type == "EmbedLayerNormalization"]:
        _unfuse(graph, node)
    weights = constants(graph)
    quantized: dict[str, tuple[str, str]] = {}
    count = 0
    for node in [n for n in graph.node if n.op_type == "Gather"]:
        name = node.input[0]
        table = weights.get(name)
        if table is not None and len(table.dims) == 2 and int_attribute(node, "axis") == 0:
            array = array_of(table)
            if array.dtype == np.float32 and array.nbytes >= min_bytes:
                # DistilBERT's graph looks up its words twice: a table is stored once.
                if name not in quantized:
                    quantized[name] = _add_quantized(graph, node.output[0], array)
                _replace(graph, node, *quantized[name])
                count += 1
    remove_unused_constants(graph)
    return count


def _add_quantized(graph: Any, name: str, table: Any) -> tuple[str, str]:
    """Add a table's int8 rows and their scales as constants; return their names."""
    packed, scales = quantize_blocks(table)
    signed = (packed.astype(np.int16) - 128).astype(np.int8)
    return (
        add_constant(graph, f"{name}{ROWS}", signed),
        add_constant(graph, f"{name}{SCALES}", scales[:, None]),
    )


def _replace(graph: Any, node: Any, table: str, table_scales: str) -> None:
    name, ids = node.output[0], node.input[1]
    rows, floats, scale = (f"{name}_{part}" for part in ("blocks", "floats", "scale"))
    nodes = [
        helper.make_node("Gather", [table, ids], [rows]),
        helper.make_node("Gather", [table_scales, ids], [scale]),
        helper.make_node("Cast", [rows], [floats], to=onnx.TensorProto.FLOAT),
        helper.make_node("Mul", [floats, scale], [name]),
    ]
    for new in nodes:
        new.name = f"{new.output[0]}_{new.op_type}"
    replace_node(graph, node, nodes)


def _unfuse(graph: Any, node: Any) -> None:
    """Replace EmbedLayerNormalization by lookups, sums and a layer norm, and its count of tokens by the mask itself.

    Token types, the mask and the ids of positions are optional; without the last, positions count from 0.
    https://github.com/microsoft/onnxruntime/blob/main/docs/ContribOperators.md#com.microsoft.EmbedLayerNormalization
    """
    inputs = [*node.input, "", ""][:9]
    ids, types, words, _, type_table, gamma, beta, mask, _ = inputs
    epsilon = next(a.f for a in node.attribute if a.name == "epsilon")
    name = node.output[0]
    embedded, positions = f"{name}_words", f"{name}_places"
    nodes = [helper.make_node("Gather", [words, ids], [embedded])]
    if types:
        nodes.append(helper.make_node("Gather", [type_table, types], [f"{name}_types"]))
    nodes += _position_nodes(graph, name, inputs)
    if types:
        nodes.append(helper.make_node("Add", [embedded, f"{name}_types"], [f"{name}_sum"]))
        embedded = f"{name}_sum"
    # Four times as fast as an Add and a LayerNormalization.
    norm = [embedded, positions, gamma, beta]
    nodes.append(
        helper.make_node("SkipLayerNormalization", norm, [name], domain=CONTRIB, epsilon=epsilon)
    )
    name_nodes(nodes, "embed")
    replace_node(graph, node, nodes)
    for other in graph.node:
        other.input[:] = [mask if n == node.output[1] else n for n in other.input]


def _position_nodes(graph: Any, name: str, inputs: list[str]) -> list[Any]:
    """Return the nodes that look up the embeddings of positions."""
    ids, table, position_ids = inputs[0], inputs[3], inputs[8]
    output = f"{name}_places"
    if position_ids:
        return [helper.make_node("Gather", [table, position_ids], [output])]
    zero, one, two = (
        add_constant(graph, f"{name}_{word}", np.array([number], np.int64))
        for number, word in enumerate(("zero", "one", "two"))
    )
    shape, length = f"{name}_shape", f"{name}_length"
    return [
        helper.make_node("Shape", [ids], [shape]),
        helper.make_node("Slice", [shape, one, two, zero], [length]),
        helper.make_node("Slice", [table, zero, length, zero], [output]),
    ]
