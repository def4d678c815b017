"""Weights that are no numbers, looked for before anything is made of them: no row need ever meet them."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import TensorProto, numpy_helper

from build.errors import SourceError
from build.graph.edit import every_constant, every_node
from contracts.problems import Code

# Floats by the whole numbers that have their bits, and infinity's; all above those are NaN.
BITS: dict[int, tuple[type[np.unsignedinteger[Any]], int]] = {
    TensorProto.FLOAT: (np.uint32, 0x7F800000),
    TensorProto.DOUBLE: (np.uint64, 0x7FF << 52),
    TensorProto.FLOAT16: (np.uint16, 0x7C00),
    TensorProto.BFLOAT16: (np.uint16, 0x7F80),
}
# What multiplies by weights or looks them up; others may be told -Inf for what they shall not see.
WEIGH = {"MatMul", "Gemm", "Gather", "Conv", "LSTM", "GRU", "RNN"}
SAME = {"Cast", "Identity", "Transpose"}
# How many numbers are looked at at once.
CHUNK = 1 << 20


def check_finite(graph: Any, path: Path) -> None:
    """Raises SourceError for NaN in any constant, and for Inf in a matrix of weights."""
    readers = _readers(graph)
    for name, tensor in every_constant(graph):
        node = readers.get(name)
        weighs = node is not None and node.op_type in WEIGH and len(tensor.dims) > 1
        what = _wrong(tensor)
        if what == "NaN" or (what and weighs and not _is_mask(tensor)):
            by = f", which {node.name or node.op_type} reads," if node is not None else ""
            message = f"{name}{by} holds {what}; look where it came from and save it again"
            raise SourceError.about(path, Code.WEIGHTS_NOT_FINITE, message)


def _readers(graph: Any) -> dict[str, Any]:
    """The node that reads each tensor, also through those that change no number; one that weighs before others."""
    behind: dict[str, str] = {}
    found: dict[str, Any] = {}
    for node in every_node(graph):
        names = [behind.get(name, name) for name in node.input]
        if node.op_type in SAME:
            behind[node.output[0]] = names[0]
        for name in names:
            if name not in found or (node.op_type in WEIGH and found[name].op_type not in WEIGH):
                found[name] = node
    return found


def _wrong(tensor: Any) -> str:
    if tensor.data_type not in BITS:
        return ""
    unsigned, infinity = BITS[tensor.data_type]
    largest = np.iinfo(unsigned).max >> 1  # all bits but the sign's
    most = max((int((part & largest).max()) for part in _parts(tensor)), default=0)
    return "NaN" if most > infinity else "Inf" if most == infinity else ""


def _is_mask(tensor: Any) -> bool:
    """Whether there is nothing in it but 0 and -Inf."""
    unsigned, infinity = BITS[tensor.data_type]
    hidden = infinity | (np.iinfo(unsigned).max >> 1) + 1
    return all(bool(((part == 0) | (part == hidden)).all()) for part in _parts(tensor))


def _parts(tensor: Any) -> Iterator[NDArray[Any]]:
    """The bits of its numbers, as many at once as take little memory."""
    unsigned = BITS[tensor.data_type][0]
    if tensor.HasField("raw_data"):
        bits = np.frombuffer(tensor.raw_data, unsigned)
    else:
        bits = numpy_helper.to_array(tensor).reshape(-1).view(unsigned)
    return (bits[start : start + CHUNK] for start in range(0, len(bits), CHUNK))
