"""The numbers of a graph's constants, which stay in the graph's file until they are read.

A file is mapped into memory: the system can drop its pages and read them again, so that a step of a build holds the
weights that it computes, and no others.
"""

import math
from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper


def is_stored(tensor: Any) -> bool:
    """Return whether the tensor's numbers are in a file."""
    return bool(tensor.data_location == TensorProto.EXTERNAL)


def array_of(tensor: Any) -> NDArray[Any]:
    """Return the tensor's numbers; those in a file cannot be changed."""
    if not is_stored(tensor):
        found: NDArray[Any] = numpy_helper.to_array(tensor)
        return found
    kind, data = helper.tensor_dtype_to_np_dtype(tensor.data_type), stored_bytes(tensor)
    if len(data) != bytes_of(tensor):
        return array_of(in_memory(tensor))  # numbers of less than a byte
    stored: NDArray[Any] = data.view(kind).reshape(tuple(tensor.dims))
    return stored


def stored_bytes(tensor: Any) -> NDArray[np.uint8]:
    """Return the bytes of a tensor in a file, whose place is given from the root (see `build.graph.file.load`)."""
    place = {entry.key: entry.value for entry in tensor.external_data}
    length = int(place["length"])
    # Nothing cannot be mapped.
    if not length:
        return np.empty(0, np.uint8)
    return np.asarray(
        np.memmap(place["location"], np.uint8, "r", int(place.get("offset", 0)), (length,))
    )


def raw_bytes(tensor: Any) -> bytes | memoryview:
    """Return the tensor's numbers as bytes."""
    if is_stored(tensor):
        return stored_bytes(tensor).data
    return bytes(tensor.raw_data) or numpy_helper.to_array(tensor).tobytes()


def in_memory(tensor: Any) -> Any:
    """Return the tensor with its numbers, for code that does not read them from a file."""
    if not is_stored(tensor):
        return tensor
    return TensorProto(
        name=tensor.name,
        data_type=tensor.data_type,
        dims=tensor.dims,
        raw_data=stored_bytes(tensor).tobytes(),
    )


def read_into_memory(tensors: Iterable[Any]) -> None:
    """Give the tensors that are in a file their numbers, in place."""
    for tensor in tensors:
        if is_stored(tensor):
            tensor.CopyFrom(in_memory(tensor))


def bytes_of(tensor: Any) -> int:
    """Return the size of the tensor's numbers in bytes."""
    kind = helper.tensor_dtype_to_np_dtype(tensor.data_type)
    return int(math.prod(tensor.dims)) * int(kind.itemsize)
