"""8-bit weights in blocks, each with a scale of its own, for activations that are quantized in blocks as well.

ONNX Runtime's MatMulNBits (its contrib operators, `bits` = 8, `accuracy_level` = 4): nearer to full precision than one
range per tensor, and slower. Weights are [columns, blocks, block] bytes around 128, scales [columns, blocks].
"""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from build.smooth import drop_unused, products

BLOCK = 32
INT8_ACTIVATIONS = 4


def in_blocks(model: Path, destination: Path) -> Path:
    """Write the model with each product of a constant matrix computed in blocks."""
    proto = onnx.load(model)
    graph = proto.graph
    weights = {tensor.name: tensor for tensor in graph.initializer}
    for node in products(graph, ("MatMul",)):
        matrix = numpy_helper.to_array(weights[node.input[1]])
        _replace(graph, node, matrix)
    drop_unused(graph)
    onnx.save(proto, destination)
    return destination


def _replace(graph: Any, node: Any, matrix: NDArray[np.float32]) -> None:
    packed, scales = pack(matrix)
    names = [f"{node.output[0]}_packed", f"{node.output[0]}_scales"]
    graph.initializer.append(numpy_helper.from_array(packed, names[0]))
    graph.initializer.append(numpy_helper.from_array(scales, names[1]))
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
    place = list(graph.node).index(node)
    graph.node.remove(node)
    graph.node.insert(place, new)


def pack(matrix: NDArray[np.float32]) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """The bytes [columns, blocks, BLOCK] and scales [columns, blocks] of a matrix [rows, columns]."""
    rows, columns = matrix.shape
    blocks = -(-rows // BLOCK)
    whole = np.zeros((columns, blocks * BLOCK), np.float32)
    whole[:, :rows] = matrix.T
    cut = whole.reshape(columns, blocks, BLOCK)
    scales = np.maximum(np.abs(cut).max(axis=2), np.finfo(np.float32).tiny) / 127
    packed = np.clip(np.rint(cut / scales[:, :, None]) + 128, 0, 255).astype(np.uint8)
    return packed, scales.astype(np.float32)
