"""8-bit weights in blocks, each with a scale of its own, for activations that are quantized in blocks as well.

ONNX Runtime's MatMulNBits (its contrib operators, `bits` = 8, `accuracy_level` = 4): nearer to full precision than one
range per tensor, and slower. Weights are [columns, blocks, block] bytes around 128, scales [columns, blocks].
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from build.graph.edit import Floats, add_constant, constants, remove_unused_constants, replace_node

BLOCK = 32
INT8_ACTIVATIONS = 4


def in_blocks(graph: Any, nodes: Sequence[Any]) -> None:
    """Have each of those products of a constant matrix computed in blocks, in place."""
    weights = constants(graph)
    for node in nodes:
        _replace(graph, node, numpy_helper.to_array(weights[node.input[1]]))
    remove_unused_constants(graph)


def _replace(graph: Any, node: Any, matrix: Floats) -> None:
    packed, scales = pack(matrix)
    names = [
        add_constant(graph, f"{node.output[0]}_packed", packed),
        add_constant(graph, f"{node.output[0]}_scales", scales),
    ]
    new = helper.make_node(
        "MatMulNBits",
        [node.input[0], *names],
        list(node.output),
        name=node.name,
        domain="com.microsoft",
        K=matrix.shape[0],
        N=matrix.shape[1],
        bits=8,
        block_size=BLOCK,
        accuracy_level=INT8_ACTIVATIONS,
    )
    replace_node(graph, node, [new])


def pack(matrix: Floats) -> tuple[NDArray[np.uint8], Floats]:
    """The bytes [columns, blocks, BLOCK] and scales [columns, blocks] of a matrix [rows, columns]."""
    rows, columns = matrix.shape
    blocks = -(-rows // BLOCK)
    whole = np.zeros((columns, blocks * BLOCK), np.float32)
    whole[:, :rows] = matrix.T
    return quantize_blocks(whole.reshape(columns, blocks, BLOCK))


def quantize_blocks(cut: Floats) -> tuple[NDArray[np.uint8], Floats]:
    """Bytes around 128 with the scale of each block, which is the last axis."""
    scales = np.maximum(np.abs(cut).max(axis=-1), np.finfo(np.float32).tiny) / 127
    packed = np.clip(np.rint(cut / scales[..., None]) + 128, 0, 255).astype(np.uint8)
    return packed, scales.astype(np.float32)
