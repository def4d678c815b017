"""The weights of a graph as numbers, however they are stored: what products multiply by and tables look up."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from onnx import numpy_helper

from build.graph.edit import Floats, int_attribute
from build.recipes.embedding_tables import ROWS
from build.recipes.embedding_tables import SCALES as TABLE_SCALES
from build.recipes.smoothquant import SCALES, SMOOTHED

# What quantization puts behind the name of what a product makes, before it is scaled and a bias is added.
SUFFIXES = ("_output_quantized", "_MatMul", "_blocks", "_steps")
Arrays = Mapping[str, Any]


def weights(graph: Any) -> dict[str, Floats]:
    """Matrices [in, out] and tables [rows, width] by the name of what is made with them; smoothing is undone."""
    arrays = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    found = {}
    for node in graph.node:
        read = READERS.get(node.op_type)
        matrix = read(node, arrays) if read else None
        if matrix is not None and matrix.ndim == 2:
            name, scale = _name(node), arrays.get(f"{_name(node)}{SMOOTHED}{SCALES}")
            found[name] = matrix if scale is None else matrix * scale[:, None]
    return found


def _name(node: Any) -> str:
    name: str = node.output[0]
    if node.op_type == "EmbedLayerNormalization":
        return f"{name}_words"
    for suffix in SUFFIXES:
        name = name.removesuffix(suffix)
    return name


def _constant(place: int) -> Callable[[Any, Arrays], Any]:
    return lambda node, arrays: _floats(arrays.get(node.input[place]))


def _floats(array: Any) -> Any:
    return array if array is not None and array.dtype == np.float32 else None


def _gemm(node: Any, arrays: Arrays) -> Any:
    matrix = _floats(arrays.get(node.input[1]))
    return matrix.T if matrix is not None and int_attribute(node, "transB") else matrix


def _integer(node: Any, arrays: Arrays) -> Any:
    """A product of whole numbers: its scale has the weight's name, as ONNX Runtime's quantizer gives it."""
    name = node.input[1].removesuffix("_quantized")
    return _scaled(arrays, node.input[1], f"{name}_scale", f"{name}_zero_point")


def _with_scale(scale: int, zero: int) -> Callable[[Any, Arrays], Any]:
    """A product of whole numbers that has its weight's scale and zero point among its own inputs."""

    def read(node: Any, arrays: Arrays) -> Any:
        offset = node.input[zero] if len(node.input) > zero else ""
        return _scaled(arrays, node.input[1], node.input[scale], offset)

    return read


def _scaled(arrays: Arrays, weight: str, scale: str, zero: str) -> Any:
    if weight not in arrays or scale not in arrays:
        return None
    offset = arrays[zero].astype(np.float32) if zero in arrays else np.float32(0)
    return (arrays[weight].astype(np.float32) - offset) * arrays[scale]


def _blocks(node: Any, arrays: Arrays) -> Any:
    """Columns in blocks around the middle of their range, each block with its scale."""
    packed, scales = arrays.get(node.input[1]), arrays.get(node.input[2])
    if packed is None or scales is None:
        return None
    rows, columns, bits = (int_attribute(node, name) for name in ("K", "N", "bits"))
    numbers = _unpacked(packed, bits).reshape(columns, scales.size // columns, -1)
    matrix = (numbers - 2 ** (bits - 1)) * scales.reshape(columns, -1, 1)
    offsets = arrays.get(f"{_name(node)}_offsets")
    if offsets is not None:
        matrix += offsets.T[:, :, None]
    return matrix.reshape(columns, -1)[:, :rows].T.astype(np.float32)


def _unpacked(packed: Any, bits: int) -> Any:
    """The numbers of bytes that hold one or two of them, the lower half first."""
    numbers = packed.astype(np.float32)
    if bits == 8:
        return numbers
    return np.stack([packed & 15, packed >> 4], axis=-1).astype(np.float32)


def _table(node: Any, arrays: Arrays) -> Any:
    """Rows as floats, or as whole numbers with a scale each."""
    table = arrays.get(node.input[0])
    if table is None or table.dtype != np.int8:
        return None if node.input[0].endswith(TABLE_SCALES) else _floats(table)
    return table.astype(np.float32) * arrays[node.input[0].removesuffix(ROWS) + TABLE_SCALES]


def _rows(node: Any, arrays: Arrays) -> Any:
    packed, scales = arrays.get(node.input[0]), arrays.get(node.input[2])
    if packed is None or scales is None or packed.dtype != np.uint8:
        return None
    numbers = packed.reshape(len(packed), -1).astype(np.float32) - 128
    per_row = scales.reshape(len(packed), -1)
    return numbers * np.repeat(per_row, numbers.shape[1] // per_row.shape[1], axis=1)


READERS: dict[str, Callable[[Any, Arrays], Any]] = {
    "Attention": _constant(1),
    "EmbedLayerNormalization": _constant(2),
    "Gather": _table,
    "GatherBlockQuantized": _rows,
    "Gemm": _gemm,
    "MatMul": _constant(1),
    "MatMulInteger": _integer,
    "MatMulNBits": _blocks,
    "DynamicQuantizeMatMul": _with_scale(2, 3),
    "MatMulIntegerToFloat": _with_scale(3, 5),
    "QAttention": _with_scale(4, 7),
}
