"""Weights of a model that writes in 8 or 4 bits, in blocks with a scale each; what is computed with them stays exact.

Products become ONNX Runtime's MatMulNBits, embeddings its GatherBlockQuantized. Where both read one table, as in models
with tied embeddings, they read the same bytes. That table and the head keep 8 bits: every token passes through them.

4 bits lose less with an offset per block, which is what a GGUF's Q4_1 has: such weights are then the same to the last
digit. ONNX Runtime's own zero points are whole steps, or slow, so what offsets add is a product of its own, of the sums
of the blocks that are read: one number for 32.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from build.graph.edit import add_constant, int_attribute, prune, replace_node
from build.recipes.block_int8 import BLOCK, INT8_ACTIVATIONS, pack
from build.recipes.recipe import WeightFormat
from functions.inference.decoder import LOGITS

Packed = tuple[NDArray[np.uint8], NDArray[np.float32]]


def weight_only(weights: WeightFormat, narrow: WeightFormat | None = None) -> Callable[[Any], None]:
    """Return the change that puts the constant matrices of a graph into a format, in place.

    MatMuls with fewer columns than rows, by which much is summed up into little, and those that make the values of
    attention take the format `narrow`, if there is one.
    """
    return partial(_quantize, weights=weights, narrow=narrow or weights)


def pack4(matrix: NDArray[np.float32]) -> Packed:
    """Two weights a byte [columns, blocks, BLOCK / 2], the first one low, and scales [columns, blocks].

    The largest of a block, with its sign, becomes -8: all 16 steps are used, as llama.cpp's Q4_0 does it.
    """
    rows, columns = matrix.shape
    blocks = -(-rows // BLOCK)
    whole = np.zeros((columns, blocks * BLOCK), np.float32)
    whole[:, :rows] = matrix.T
    cut = whole.reshape(columns, blocks, BLOCK)
    largest = np.take_along_axis(cut, np.abs(cut).argmax(axis=2)[:, :, None], axis=2)[:, :, 0]
    scales = largest / -8
    scales[scales == 0] = np.finfo(np.float32).tiny
    steps = np.clip(np.rint(cut / scales[:, :, None]) + 8, 0, 15).astype(np.uint8)
    return steps[:, :, ::2] | steps[:, :, 1::2] << 4, scales.astype(np.float32)


def pack4_offset(
    matrix: NDArray[np.float32],
) -> tuple[NDArray[np.uint8], NDArray[np.float32], NDArray[np.float32]]:
    """As `pack4`, from the least of a block to its largest, and what step 8 stands for [columns, blocks]."""
    rows, columns = matrix.shape
    cut = np.ascontiguousarray(matrix.T).reshape(columns, rows // BLOCK, BLOCK)
    low = cut.min(axis=2)
    scales = np.maximum((cut.max(axis=2) - low) / 15, np.finfo(np.float32).tiny)
    steps = np.clip(np.rint((cut - low[:, :, None]) / scales[:, :, None]), 0, 15).astype(np.uint8)
    return steps[:, :, ::2] | steps[:, :, 1::2] << 4, scales, low + 8 * scales


def _quantize(graph: Any, *, weights: WeightFormat, narrow: WeightFormat) -> None:
    constants = {tensor.name: tensor for tensor in graph.initializer if len(tensor.dims) == 2}
    head = {node.input[1] for node in graph.node if node.name == LOGITS}
    values = {node.input[2] for node in graph.node if node.op_type == "GroupQueryAttention"}
    for node in list(graph.node):
        if node.op_type == "Gather" and node.input[0] in constants:
            _replace_gather(graph, node, numpy_helper.to_array(constants[node.input[0]]))
        elif node.op_type in ("MatMul", "Gemm") and node.input[1] in constants:
            matrix = numpy_helper.to_array(constants[node.input[1]])
            matrix = matrix.T if int_attribute(node, "transB") else matrix
            if node.input[1] in head:
                _replace_product(graph, node, matrix, *_table(graph, node.input[1], matrix.T), 8)
                continue
            rows, columns = matrix.shape
            taken = narrow if columns < rows or node.output[0] in values else weights
            _replace_matmul(graph, node, matrix, taken)
    prune(graph)


def _replace_matmul(
    graph: Any, node: Any, matrix: NDArray[np.float32], weights: WeightFormat
) -> None:
    if weights is WeightFormat.FLOAT32:
        return
    if weights is WeightFormat.INT4_OFFSETS and len(matrix) % BLOCK == 0:
        _replace_with_offsets(graph, node, matrix)
        return
    bits = 8 if weights is WeightFormat.INT8 else 4
    names = _add(graph, node.output[0], *(pack if bits == 8 else pack4)(matrix))
    _replace_product(graph, node, matrix, *names, bits)


def _replace_with_offsets(graph: Any, node: Any, matrix: NDArray[np.float32]) -> None:
    """x W = x (steps * scales) + (sums of the blocks of x) offsets."""
    rows, out = matrix.shape[0], node.output[0]
    packed, scales, offsets = pack4_offset(matrix)
    sums = _sums(graph, node, rows)
    added = add_constant(graph, f"{out}_offsets", np.ascontiguousarray(offsets.T))
    parts = [f"{out}_steps", f"{out}_offset"]
    node.output[0] = parts[0]
    graph.node.insert(
        list(graph.node).index(node) + 1, helper.make_node("Add", parts, [out], name=f"{out}_sum")
    )
    offset = helper.make_node("MatMul", [sums, added], [parts[1]], name=parts[1])
    graph.node.insert(list(graph.node).index(node), offset)
    _replace_product(graph, node, matrix, *_add(graph, out, packed, scales), 4)


def _sums(graph: Any, node: Any, rows: int) -> str:
    """The sums of the blocks of what a product reads, made once for all that read it."""
    name = f"{node.input[0]}_sums"
    if any(name in other.output for other in graph.node):
        return name
    shape, axis = f"{name}_shape", f"{name}_axis"
    lead = [-1] if node.op_type == "Gemm" else [0, 0]  # which reads its tokens as rows
    add_constant(graph, shape, np.array([*lead, rows // BLOCK, BLOCK], np.int64))
    add_constant(graph, axis, np.array([-1], np.int64))
    cut = helper.make_node("Reshape", [node.input[0], shape], [f"{name}_cut"], name=f"{name}_cut")
    summed = helper.make_node("ReduceSum", [f"{name}_cut", axis], [name], name=name, keepdims=0)
    place = list(graph.node).index(node)
    graph.node.insert(place, summed)
    graph.node.insert(place, cut)
    return name


def _replace_product(
    graph: Any, node: Any, matrix: NDArray[np.float32], packed: str, scales: str, bits: int
) -> None:
    bias = ["", "", node.input[2]] if len(node.input) > 2 else []
    new = helper.make_node(
        "MatMulNBits",
        [node.input[0], packed, scales, *bias],
        list(node.output),
        name=node.name,
        domain="com.microsoft",
        K=matrix.shape[0],
        N=matrix.shape[1],
        bits=bits,
        block_size=BLOCK,
        accuracy_level=INT8_ACTIVATIONS,
    )
    replace_node(graph, node, [new])


def _replace_gather(graph: Any, node: Any, table: NDArray[np.float32]) -> None:
    """Rows of the packed table, unpacked; tables whose rows are no whole blocks stay as they are."""
    if int_attribute(node, "axis") or table.shape[1] % BLOCK:
        return
    packed, _ = _table(graph, node.input[0], table)
    blocks = f"{node.output[0]}_blocks"
    shape, scales = f"{node.output[0]}_shape", f"{node.input[0]}_row_scales"
    if not any(tensor.name == scales for tensor in graph.initializer):
        found = pack(table.T)[1][:, :, None]
        graph.initializer.append(numpy_helper.from_array(found, scales))
    width = np.array([0, 0, table.shape[1]], np.int64)
    graph.initializer.append(numpy_helper.from_array(width, shape))
    new = helper.make_node(
        "GatherBlockQuantized",
        [packed, node.input[1], scales],
        [blocks],
        name=node.name,
        domain="com.microsoft",
        bits=8,
        block_size=BLOCK,
        gather_axis=0,
        quantize_axis=2,
    )
    replace_node(
        graph, node, [new, helper.make_node("Reshape", [blocks, shape], list(node.output))]
    )


def _table(graph: Any, name: str, rows: NDArray[np.float32]) -> tuple[str, str]:
    """The names of the table's bytes and scales, packed once for all that read it."""
    names = (f"{name}_packed", f"{name}_scales")
    if not any(tensor.name == names[0] for tensor in graph.initializer):
        return _add(graph, name, *pack(rows.T))
    return names


def _add(
    graph: Any, name: str, packed: NDArray[np.uint8], scales: NDArray[np.float32]
) -> tuple[str, str]:
    return (
        add_constant(graph, f"{name}_packed", packed),
        add_constant(graph, f"{name}_scales", scales),
    )
