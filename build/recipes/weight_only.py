"""Weight-only quantization of generators: weights in blocks of 8 or 4 bits.

MatMuls become ONNX Runtime's MatMulNBits, embedding lookups its GatherBlockQuantized. A table that is both, as tied
embeddings are, is stored once. It keeps 8 bits, and so does the head: every token passes through them.

With 4 bits, an offset per block loses less than a scale alone. A GGUF file's Q4_1 blocks have one as well, so their
weights are reproduced exactly. MatMulNBits has zero points, but these are whole steps, or slow, so the offsets get a
MatMul of their own, with the sums of the input's blocks: one number for 32.
https://github.com/microsoft/onnxruntime/blob/main/docs/ContribOperators.md
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import helper

from build.graph.edit import (
    CONTRIB,
    Floats,
    add_constant,
    constants,
    insert_before,
    int_attribute,
    prune,
    replace_node,
)
from build.graph.tensors import array_of
from build.recipes.block_int8 import (
    BLOCK,
    Packed,
    add_packed,
    pack,
    replace_with_nbits,
    split_blocks,
)
from build.recipes.recipe import WeightFormat
from functions.inference.decoder import LOGITS

TINY = np.finfo(np.float32).tiny


def weight_only(
    weights: WeightFormat, sensitive_weights: WeightFormat | None = None
) -> Callable[[Any], None]:
    """Return the change that puts the constant matrices of a graph into a format, in place.

    Sensitive weights take the format `sensitive_weights`, if there is one: those of MatMuls with fewer columns than
    rows, which sum up many numbers into few, and the value projections of attention.
    """
    return partial(_quantize, weights=weights, sensitive_weights=sensitive_weights or weights)


def pack4(matrix: Floats) -> Packed:
    """Return two weights a byte [columns, blocks, BLOCK / 2], the first one low, and scales [columns, blocks].

    The weight of the largest magnitude in a block becomes -8, whatever its sign, so all 16 steps are used, as in
    llama.cpp's Q4_0.
    """
    blocks = split_blocks(matrix)
    largest = np.take_along_axis(blocks, np.abs(blocks).argmax(axis=2)[:, :, None], axis=2)[:, :, 0]
    scales = largest / -8
    # A block of zeros must not be divided by 0.
    scales[scales == 0] = TINY
    steps = np.clip(np.rint(blocks / scales[:, :, None]) + 8, 0, 15).astype(np.uint8)
    return _pairs(steps), scales.astype(np.float32)


def pack4_offset(matrix: Floats) -> tuple[NDArray[np.uint8], Floats, Floats]:
    """Return bytes and scales as `pack4` does, and the value of step 8 of each block [columns, blocks].

    The 16 steps go from the smallest weight of a block to its largest, as in llama.cpp's Q4_1.
    """
    blocks = split_blocks(matrix)
    low = blocks.min(axis=2)
    scales = np.maximum((blocks.max(axis=2) - low) / 15, TINY)
    steps = np.rint((blocks - low[:, :, None]) / scales[:, :, None])
    # The operator's default zero point is 8, so the offset is the value of that step.
    return _pairs(np.clip(steps, 0, 15).astype(np.uint8)), scales, low + 8 * scales


def _pairs(steps: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return (steps[:, :, ::2] | steps[:, :, 1::2] << 4).astype(np.uint8)


def _quantize(graph: Any, *, weights: WeightFormat, sensitive_weights: WeightFormat) -> None:
    matrices = {name: t for name, t in constants(graph).items() if len(t.dims) == 2}
    # `last_token_logits` names the node of the head so.
    head = {node.input[1] for node in graph.node if node.name == LOGITS}
    # The third input is the values; a packed projection has none of its own.
    values = {node.input[2] for node in graph.node if node.op_type == "GroupQueryAttention"}
    for node in list(graph.node):
        if node.op_type == "Gather" and node.input[0] in matrices:
            _replace_gather(graph, node, array_of(matrices[node.input[0]]))
        elif node.op_type in ("MatMul", "Gemm") and node.input[1] in matrices:
            matrix = array_of(matrices[node.input[1]])
            matrix = matrix.T if int_attribute(node, "transB") else matrix
            if node.input[1] in head:
                packed = _packed_table(graph, node.input[1], matrix.T)
                replace_with_nbits(graph, node, matrix.shape, packed, bits=8)
                continue
            rows, columns = matrix.shape
            is_sensitive = columns < rows or node.output[0] in values
            _replace_matmul(graph, node, matrix, sensitive_weights if is_sensitive else weights)
    prune(graph)


def _replace_matmul(graph: Any, node: Any, matrix: Floats, weights: WeightFormat) -> None:
    if weights is WeightFormat.FLOAT32:
        return
    # The sums of an input's blocks are made by a Reshape, which needs whole blocks.
    if weights is WeightFormat.INT4_OFFSETS and len(matrix) % BLOCK == 0:
        _replace_with_offsets(graph, node, matrix)
        return
    bits = 8 if weights is WeightFormat.INT8 else 4
    names = add_packed(graph, node.output[0], pack(matrix) if bits == 8 else pack4(matrix))
    replace_with_nbits(graph, node, matrix.shape, names, bits=bits)


def _replace_with_offsets(graph: Any, node: Any, matrix: Floats) -> None:
    """Replace x W by x (steps * scales) + (sums of the blocks of x) offsets."""
    rows, output = matrix.shape[0], node.output[0]
    packed, scales, offsets = pack4_offset(matrix)
    sums = _block_sums(graph, node, rows)
    added = add_constant(graph, f"{output}_offsets", np.ascontiguousarray(offsets.T))
    terms = [f"{output}_steps", f"{output}_offset"]
    node.output[0] = terms[0]
    graph.node.insert(
        list(graph.node).index(node) + 1,
        helper.make_node("Add", terms, [output], name=f"{output}_sum"),
    )
    insert_before(
        graph, node, [helper.make_node("MatMul", [sums, added], [terms[1]], name=terms[1])]
    )
    names = add_packed(graph, output, (packed, scales))
    replace_with_nbits(graph, node, matrix.shape, names, bits=4)


def _block_sums(graph: Any, node: Any, rows: int) -> str:
    """Return the sums of the blocks of a node's input, which are computed once for all nodes that read it."""
    name = f"{node.input[0]}_sums"
    if any(name in other.output for other in graph.node):
        return name
    leading = [-1] if node.op_type == "Gemm" else [0, 0]  # a Gemm has one axis for batch and tokens
    shape = np.array([*leading, rows // BLOCK, BLOCK], np.int64)
    shape_name = add_constant(graph, f"{name}_shape", shape)
    axis = add_constant(graph, f"{name}_axis", np.array([-1], np.int64))
    blocks = f"{name}_cut"
    nodes = [
        helper.make_node("Reshape", [node.input[0], shape_name], [blocks], name=blocks),
        helper.make_node("ReduceSum", [blocks, axis], [name], name=name, keepdims=0),
    ]
    insert_before(graph, node, nodes)
    return name


def _replace_gather(graph: Any, node: Any, table: Floats) -> None:
    """Replace a lookup by one in the packed table, unless the rows of the table are no whole number of blocks."""
    if int_attribute(node, "axis") or table.shape[1] % BLOCK:
        return
    packed, _ = _packed_table(graph, node.input[0], table)
    blocks = f"{node.output[0]}_blocks"
    shape, scales = f"{node.output[0]}_shape", f"{node.input[0]}_row_scales"
    if scales not in constants(graph):
        add_constant(graph, scales, pack(table.T)[1][:, :, None])
    add_constant(graph, shape, np.array([0, 0, table.shape[1]], np.int64))
    lookup = helper.make_node(
        "GatherBlockQuantized",
        [packed, node.input[1], scales],
        [blocks],
        name=node.name,
        domain=CONTRIB,
        bits=8,
        block_size=BLOCK,
        gather_axis=0,
        quantize_axis=2,
    )
    join = helper.make_node("Reshape", [blocks, shape], list(node.output))
    replace_node(graph, node, [lookup, join])


def _packed_table(graph: Any, name: str, rows: Floats) -> tuple[str, str]:
    """Return the names of the table's bytes and scales, which are added once for all nodes that read it."""
    names = (f"{name}_packed", f"{name}_scales")
    return names if names[0] in constants(graph) else add_packed(graph, name, pack(rows.T))
