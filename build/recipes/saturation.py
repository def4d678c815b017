"""Int8 weights per channel that cannot saturate the 16-bit sums of x86 processors without VNNI.

Such a processor multiplies unsigned activations with signed weights and adds the products of two neighbouring rows in
16 bits, with saturation (VPMADDUBSW, Intel SDM volume 2). With activations up to 255, no sum saturates if the weights
of one sign in a pair of rows come to at most 128. ONNX Runtime's `reduce_range` ensures it with 7 bits for every
weight: https://onnxruntime.ai/docs/performance/model-optimizations/quantization.html. That wastes most of a bit, as the
largest weights of a column seldom stand in the same pair, so the scale of each column is the smallest that its own
pairs allow.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from build.graph.edit import Floats, constants, matmuls
from build.graph.tensors import array_of

MAX_WEIGHT = 127
# 255 * 128 is below 2**15; the 1 that is left over is what rounding two weights may add.
MAX_PAIR = 127


def requantize(quantized: Any, full: Any) -> int:
    """Quantize the weights of a quantized graph per channel, in place, from those of the graph that it was made of.

    It may have one scale for each matrix or for each channel. Return how many matrices there were.
    """
    weights, own = constants(full), constants(quantized.graph)
    names = {node.input[1] for node in matmuls(full) if f"{node.input[1]}_quantized" in own}
    for name in names:
        packed, scales = own[f"{name}_quantized"], own[f"{name}_scale"]
        zeros = own[f"{name}_zero_point"]
        integers, steps = quantize(array_of(weights[name]))
        packed.CopyFrom(numpy_helper.from_array(integers, packed.name))
        scales.CopyFrom(numpy_helper.from_array(steps, scales.name))
        zero = [0] * len(steps)
        zeros.CopyFrom(helper.make_tensor(zeros.name, zeros.data_type, [len(zero)], zero))
    return len(names)


def quantize(matrix: Floats) -> tuple[NDArray[np.int8], Floats]:
    """Return the integers [rows, columns] of a matrix and the scale of each column."""
    scales = np.maximum(np.abs(matrix).max(axis=0) / MAX_WEIGHT, largest_pair(matrix) / MAX_PAIR)
    scales = np.maximum(scales, np.finfo(np.float32).tiny)
    return np.rint(matrix / scales).astype(np.int8), scales.astype(np.float32)


def largest_pair(matrix: NDArray[Any]) -> NDArray[Any]:
    """Return for each column the largest sum of one sign over a pair of neighbouring rows: 0 and 1, 2 and 3, ..."""
    even = matrix[: len(matrix) - len(matrix) % 2]
    pairs = even.reshape(-1, 2, matrix.shape[1])
    sums = [np.maximum(sign * pairs, 0).sum(axis=1).max(axis=0, initial=0) for sign in (1, -1)]
    largest: NDArray[Any] = np.maximum(*sums)
    return largest
