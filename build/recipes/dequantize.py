"""Weights of a graph as float32, whichever operators read them and however they are quantized.

Each reader knows the inputs of one operator: those of ONNX (https://onnx.ai/onnx/operators/) and those of ONNX Runtime
(https://github.com/microsoft/onnxruntime/blob/main/docs/ContribOperators.md).
"""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from build.graph.edit import Floats, int_attribute
from build.graph.tensors import array_of
from build.recipes.embedding_tables import ROWS
from build.recipes.embedding_tables import SCALES as TABLE_SCALES
from build.recipes.smoothquant import SCALES, SMOOTHED

# Suffixes that quantization appends to the name of an output, before the output is scaled and a bias is added.
SUFFIXES = ("_output_quantized", "_MatMul", "_blocks", "_steps")
Arrays = Mapping[str, Any]
Reader = Callable[[Any, Arrays], Any]


def weights(graph: Any) -> dict[str, Floats]:
    """Return matrices [in, out] and embedding tables [rows, width] by the name of the output, without SmoothQuant."""
    arrays = {tensor.name: array_of(tensor) for tensor in graph.initializer}
    found = {}
    for node in graph.node:
        read = READERS.get(node.op_type)
        matrix = read(node, arrays) if read else None
        if matrix is not None and matrix.ndim == 2:
            name = _name(node)
            scale = arrays.get(f"{name}{SMOOTHED}{SCALES}")
            found[name] = matrix if scale is None else matrix * scale[:, None]
    return found


def _name(node: Any) -> str:
    name: str = node.output[0]
    if node.op_type == "EmbedLayerNormalization":
        return f"{name}_words"
    for suffix in SUFFIXES:
        name = name.removesuffix(suffix)
    return name


def _float32(array: Any) -> Any:
    return array if array is not None and array.dtype == np.float32 else None


def _float_input(index: int) -> Reader:
    """Return the reader of an operator whose input of that index is a float matrix."""
    return lambda node, arrays: _float32(arrays.get(node.input[index]))


def _gemm(node: Any, arrays: Arrays) -> Any:
    matrix = _float32(arrays.get(node.input[1]))
    return matrix.T if matrix is not None and int_attribute(node, "transB") else matrix


def _integer_matmul(node: Any, arrays: Arrays) -> Any:
    """Read a MatMulInteger, whose scale is found by the names that ONNX Runtime's quantizer gives."""
    name = node.input[1].removesuffix("_quantized")
    return _dequantized(arrays, node.input[1], f"{name}_scale", f"{name}_zero_point")


def _with_scale(scale: int, zero_point: int) -> Reader:
    """Return the reader of an operator that has its weights' scale and zero point among its own inputs."""

    def read(node: Any, arrays: Arrays) -> Any:
        offset = node.input[zero_point] if len(node.input) > zero_point else ""
        return _dequantized(arrays, node.input[1], node.input[scale], offset)

    return read


def _dequantized(arrays: Arrays, weight: str, scale: str, zero_point: str) -> Any:
    if weight not in arrays or scale not in arrays:
        return None
    offset = arrays[zero_point].astype(np.float32) if zero_point in arrays else np.float32(0)
    return (arrays[weight].astype(np.float32) - offset) * arrays[scale]


def _nbits_matmul(node: Any, arrays: Arrays) -> Any:
    """Read a MatMulNBits: columns in blocks, with a scale each; offsets are in the MatMul that is added to it."""
    packed, scales = arrays.get(node.input[1]), arrays.get(node.input[2])
    if packed is None or scales is None:
        return None
    rows, columns, bits = (int_attribute(node, name) for name in ("K", "N", "bits"))
    steps = _unpacked(packed, bits).reshape(columns, scales.size // columns, -1)
    # The operator's default zero point is the middle of the range: no recipe of ours gives it another.
    blocks = (steps - 2 ** (bits - 1)) * scales.reshape(columns, -1, 1)
    offsets = arrays.get(f"{_name(node)}_offsets")
    if offsets is not None:
        blocks += offsets.T[:, :, None]
    return blocks.reshape(columns, -1)[:, :rows].T.astype(np.float32)


def _unpacked(packed: Any, bits: int) -> Any:
    """Return the steps of bytes that hold one of 8 bits or two of 4, the low half first."""
    if bits == 8:
        return packed.astype(np.float32)
    return np.stack([packed & 15, packed >> 4], axis=-1).astype(np.float32)


def _table(node: Any, arrays: Arrays) -> Any:
    """Read a Gather from a table of floats, or of int8 rows with a scale each; the scales are no table."""
    table = arrays.get(node.input[0])
    if table is None or table.dtype != np.int8:
        return None if node.input[0].endswith(TABLE_SCALES) else _float32(table)
    return table.astype(np.float32) * arrays[node.input[0].removesuffix(ROWS) + TABLE_SCALES]


def _block_table(node: Any, arrays: Arrays) -> Any:
    """Read a GatherBlockQuantized of 8 bits: rows in blocks, with a scale each."""
    packed, scales = arrays.get(node.input[0]), arrays.get(node.input[2])
    if packed is None or scales is None or packed.dtype != np.uint8:
        return None
    steps = packed.reshape(len(packed), -1).astype(np.float32) - 128
    per_row = scales.reshape(len(packed), -1)
    return steps * np.repeat(per_row, steps.shape[1] // per_row.shape[1], axis=1)


READERS: dict[str, Reader] = {
    "Attention": _float_input(1),
    "EmbedLayerNormalization": _float_input(2),
    "Gather": _table,
    "GatherBlockQuantized": _block_table,
    "Gemm": _gemm,
    "MatMul": _float_input(1),
    "MatMulInteger": _integer_matmul,
    "MatMulNBits": _nbits_matmul,
    "DynamicQuantizeMatMul": _with_scale(2, 3),
    "MatMulIntegerToFloat": _with_scale(3, 5),
    "QAttention": _with_scale(4, 7),
}
