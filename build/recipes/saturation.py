"""8-bit weights as large as the 16-bit sums of older processors bear.

Without VNNI, an x86 processor multiplies unsigned activations with signed weights and adds the products of two
neighbouring rows in 16 bits, which saturate (vpmaddubsw). With activations up to 255 no sum does while the weights of a
pair that have one sign come to at most 128. Keeping 7 bits of every weight (ONNX Runtime's `reduce_range`) ensures
that, and gives away what is left: the largest weights of a column seldom stand side by side.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import numpy_helper

from build.graph.edit import Floats, constants, matmuls

LARGEST = 127
# 255 * 128 is below 2**15; what rounding two weights may add is left out.
PAIR = 127


def requantize(model: Any, full: Any) -> int:
    """Quantize the model's products anew, from the weights of the graph it was made of; the number of matrices."""
    weights, own = constants(full), constants(model.graph)
    names = {node.input[1] for node in matmuls(full) if f"{node.input[1]}_quantized" in own}
    for name in names:
        packed, scales = own[f"{name}_quantized"], own[f"{name}_scale"]
        integers, steps = quantize(numpy_helper.to_array(weights[name]))
        packed.CopyFrom(numpy_helper.from_array(integers, packed.name))
        scales.CopyFrom(numpy_helper.from_array(steps, scales.name))
    return len(names)


def quantize(matrix: Floats) -> tuple[NDArray[np.int8], Floats]:
    """The integers [rows, columns] and the scale of each column."""
    steps = np.maximum(np.abs(matrix).max(axis=0) / LARGEST, largest_pair(matrix) / PAIR)
    steps = np.maximum(steps, np.finfo(np.float32).tiny)
    return np.rint(matrix / steps).astype(np.int8), steps.astype(np.float32)


def largest_pair(matrix: NDArray[Any]) -> NDArray[Any]:
    """For each column, the largest sum of one sign over two neighbouring rows, the first and the second on."""
    even = matrix[: len(matrix) - len(matrix) % 2]
    pairs = even.reshape(-1, 2, matrix.shape[1])
    sums = [np.maximum(sign * pairs, 0).sum(axis=1).max(axis=0, initial=0) for sign in (1, -1)]
    largest: NDArray[Any] = np.maximum(*sums)
    return largest
