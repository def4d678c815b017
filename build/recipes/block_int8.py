"""Block-wise int8: each block of 32 weights has a scale of its own, and activations are quantized in blocks as well.

ONNX Runtime's MatMulNBits with 8 bits and accuracy level 4 (int8 activations). It comes nearer to full precision than
one range per tensor, and is slower.
https://github.com/microsoft/onnxruntime/blob/main/docs/ContribOperators.md#com.microsoft.MatMulNBits
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import helper

from build.graph.edit import (
    CONTRIB,
    Floats,
    add_constant,
    constants,
    remove_unused_constants,
    replace_node,
)
from build.graph.tensors import array_of

# llama.cpp's block size, so that the weights of a GGUF file keep their blocks.
BLOCK = 32
# The operator's accuracy level that lets it quantize activations to int8; 1 would be float32.
INT8_ACTIVATIONS = 4
Packed = tuple[NDArray[np.uint8], Floats]


def quantize_block_wise(graph: Any, nodes: Sequence[Any]) -> None:
    """Quantize those MatMuls with a constant matrix block-wise, in place."""
    weights = constants(graph)
    for node in nodes:
        matrix = array_of(weights[node.input[1]])
        names = add_packed(graph, node.output[0], pack(matrix))
        replace_with_nbits(graph, node, matrix.shape, names, bits=8)
    remove_unused_constants(graph)


def replace_with_nbits(
    graph: Any, node: Any, shape: Sequence[int], packed: tuple[str, str], *, bits: int
) -> None:
    """Replace a MatMul or Gemm with a matrix of that shape by a MatMulNBits that reads the packed bytes and scales."""
    bias = ["", "", node.input[2]] if len(node.input) > 2 else []
    new = helper.make_node(
        "MatMulNBits",
        [node.input[0], *packed, *bias],
        list(node.output),
        name=node.name,
        domain=CONTRIB,
        K=shape[0],
        N=shape[1],
        bits=bits,
        block_size=BLOCK,
        accuracy_level=INT8_ACTIVATIONS,
    )
    replace_node(graph, node, [new])


def add_packed(graph: Any, name: str, packed: Packed) -> tuple[str, str]:
    """Add the bytes and the scales of a matrix as constants; return their names."""
    values, scales = packed
    return (
        add_constant(graph, f"{name}_packed", values),
        add_constant(graph, f"{name}_scales", scales),
    )


def pack(matrix: Floats) -> Packed:
    """Return the bytes [columns, blocks, BLOCK] and scales [columns, blocks] of a matrix [rows, columns]."""
    return quantize_blocks(split_blocks(matrix))


def split_blocks(matrix: Floats) -> Floats:
    """Return the columns of a matrix [rows, columns] in blocks [columns, blocks, BLOCK], the last padded with 0."""
    rows, columns = matrix.shape
    blocks = -(-rows // BLOCK)
    padded = np.zeros((columns, blocks * BLOCK), np.float32)
    padded[:, :rows] = matrix.T
    return padded.reshape(columns, blocks, BLOCK)


def quantize_blocks(blocks: Floats) -> Packed:
    """Return bytes with a zero point of 128, the operator's default, and a scale for each block (the last axis)."""
    # The smallest normal float keeps a block of zeros from being divided by 0.
    scales = np.maximum(np.abs(blocks).max(axis=-1), np.finfo(np.float32).tiny) / 127
    packed = np.clip(np.rint(blocks / scales[..., None]) + 128, 0, 255).astype(np.uint8)
    return packed, scales.astype(np.float32)
