"""NaN and Inf among the weights of a graph, found before anything is made of them.

The rows of a build need not reach a broken weight, such as the embedding of a rare token, but requests will.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import TensorProto

from build.errors import SourceError
from build.graph.edit import every_constant, every_node
from build.graph.tensors import array_of
from contracts.problems import Code

# Unsigned integers of each float's width, and the bits of infinity (IEEE 754). Without its sign, NaN is above that.
BITS: dict[int, tuple[type[np.unsignedinteger[Any]], int]] = {
    TensorProto.FLOAT: (np.uint32, 0x7F800000),
    TensorProto.DOUBLE: (np.uint64, 0x7FF << 52),
    TensorProto.FLOAT16: (np.uint16, 0x7C00),
    TensorProto.BFLOAT16: (np.uint16, 0x7F80),
}
# Operators that multiply by weights or look them up. Others may read -Inf on purpose, to mask something.
WEIGHTED = {"MatMul", "Gemm", "Gather", "Conv", "LSTM", "GRU", "RNN"}
# Operators that pass numbers on unchanged.
PASSING = {"Cast", "Identity", "Transpose"}
# Numbers that are checked at once, to bound the memory that a check takes.
CHUNK = 1 << 20


def check_finite(graph: Any, path: Path) -> None:
    """Raise SourceError for NaN in any constant, and for Inf in a matrix of weights."""
    reader_of = _readers(graph)
    for name, tensor in every_constant(graph):
        node = reader_of.get(name)
        weighted = node is not None and node.op_type in WEIGHTED and len(tensor.dims) > 1
        worst = _worst(tensor)
        if worst == "NaN" or (worst and weighted and not _is_mask(tensor)):
            by = f", which {node.name or node.op_type} reads," if node is not None else ""
            message = f"{name}{by} holds {worst}; look where it came from and save it again"
            raise SourceError.about(path, Code.WEIGHTS_NOT_FINITE, message)


def _readers(graph: Any) -> dict[str, Any]:
    """Return one node that reads each tensor, directly or through `PASSING` nodes; a `WEIGHTED` one if there is any."""
    origin: dict[str, str] = {}
    readers: dict[str, Any] = {}
    for node in every_node(graph):
        names = [origin.get(name, name) for name in node.input]
        if node.op_type in PASSING:
            origin[node.output[0]] = names[0]
        for name in names:
            weighted = node.op_type in WEIGHTED
            if name not in readers or (weighted and readers[name].op_type not in WEIGHTED):
                readers[name] = node
    return readers


def _worst(tensor: Any) -> str:
    """Return "NaN" or "Inf" if the tensor holds one, NaN first; empty if all its numbers are finite."""
    if tensor.data_type not in BITS:
        return ""
    unsigned, infinity = BITS[tensor.data_type]
    magnitude = np.iinfo(unsigned).max >> 1  # all bits but the sign's
    largest = max((int((part & magnitude).max()) for part in _chunks(tensor)), default=0)
    return "NaN" if largest > infinity else "Inf" if largest == infinity else ""


def _is_mask(tensor: Any) -> bool:
    """Return True if the tensor holds nothing but 0 and -Inf."""
    unsigned, infinity = BITS[tensor.data_type]
    minus_infinity = infinity | (np.iinfo(unsigned).max >> 1) + 1
    return all(bool(((part == 0) | (part == minus_infinity)).all()) for part in _chunks(tensor))


def _chunks(tensor: Any) -> Iterator[NDArray[Any]]:
    """Return the bits of the tensor's numbers, at most `CHUNK` at a time."""
    unsigned = BITS[tensor.data_type][0]
    bits = array_of(tensor).reshape(-1).view(unsigned)
    return (bits[start : start + CHUNK] for start in range(0, len(bits), CHUNK))
