"""ONNX files: one file, or two if the constants do not fit into the first.

ONNX is written as protobuf, which holds 2 GiB at most. Larger constants are external data:
https://onnx.ai/onnx/repo-docs/ExternalData.html

The graphs within a build have them in a second file whatever their size, so that they are mapped and not read.
"""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from build.graph.tensors import bytes_of, is_stored, raw_bytes, stored_bytes

# 16 MiB of protobuf's 2 GiB are left for the nodes.
MAX_BYTES = (1 << 31) - (1 << 24)
# Smaller constants stay in the graph, as with onnx.save_model: shape inference needs those of shapes.
MIN_EXTERNAL_BYTES = 1024
# "Offset values SHOULD be multiples of the page size" (the specification above), so that mmap can be used.
PAGE = 4096
# The fields of a model that holds the graph, of a graph that holds constants, and of a constant that holds its bytes.
# https://github.com/onnx/onnx/blob/main/onnx/onnx.proto
GRAPH, INITIALIZER, RAW_DATA = 7, 5, 9


def load(path: Path) -> Any:
    """Return the model of a file; constants that lie beside it stay there (`build.graph.tensors`)."""
    model = onnx.load(path, load_external_data=False)
    for tensor in model.graph.initializer:
        if is_stored(tensor):
            for entry in tensor.external_data:
                if entry.key == "location":
                    entry.value = str(path.resolve().parent / entry.value)
    return model


def save(model: Any, path: Path, max_bytes: int = MAX_BYTES) -> None:
    """Write the model to `path`, and its constants to `path`.data if they take more than `max_bytes`.

    Files that are there already are replaced, and external data of an older graph is removed. Constants are never
    copied in memory, where a large model leaves no room for a second one.
    """
    external = external_data_of(path)
    external.unlink(missing_ok=True)
    path.unlink(missing_ok=True)
    if constant_bytes(model.graph) > max_bytes:
        path.write_bytes(_with_external_data(model, external).SerializeToString())
        return
    with path.open("wb") as file:
        file.writelines(_serialised(model))


def save_apart(model: Any, path: Path) -> None:
    """Write the model to `path`, and its constants beside it."""
    save(model, path, max_bytes=0)


def _with_external_data(model: Any, path: Path) -> Any:
    """Return the model with its constants in that file, each at the beginning of a page."""
    external = without_constants(model)
    with path.open("wb") as file:
        for tensor in model.graph.initializer:
            if bytes_of(tensor) >= MIN_EXTERNAL_BYTES:
                named = tensor.name, tensor.data_type, tensor.dims
                tensor = _written(*named, raw_bytes(tensor), file, path.name)
            external.graph.initializer.append(tensor)
    return external


def without_constants(model: Any) -> Any:
    """Return a copy of the model without its initializers."""
    copy = copy_without(model, "graph")
    copy.graph.CopyFrom(copy_without(model.graph, "initializer"))
    return copy


def copy_without(message: Any, left_out: str) -> Any:
    """Return a copy of the protobuf message without one of its fields."""
    return _copy_of(
        message, [field.name for field, _ in message.ListFields() if field.name != left_out]
    )


def _copy_of(message: Any, names: Iterable[str]) -> Any:
    copy = type(message)()
    for name in names:
        value = getattr(message, name)
        if isinstance(value, str | bytes | int | float):
            setattr(copy, name, value)
        elif hasattr(value, "CopyFrom"):
            getattr(copy, name).CopyFrom(value)
        else:
            getattr(copy, name).extend(value)
    return copy


def _serialised(model: Any) -> Iterator[bytes | memoryview]:
    """Yield the bytes of the model, as protobuf serialises it, without a copy of its constants.

    https://protobuf.dev/programming-guides/encoding/
    """
    start, end = _around(model, GRAPH)
    before, after = _around(model.graph, INITIALIZER)
    constants = model.graph.initializer
    heads = [_head(tensor) if is_stored(tensor) else b"" for tensor in constants]
    sizes = [
        len(head) + (len(stored_bytes(tensor)) if head else tensor.ByteSize())
        for head, tensor in zip(heads, constants, strict=True)
    ]
    framed = sum(1 + len(_varint(size)) + size for size in sizes)
    yield from (start, _tag(GRAPH), _varint(len(before) + framed + len(after)), before)
    for tensor, head, size in zip(constants, heads, sizes, strict=True):
        yield from (_tag(INITIALIZER), _varint(size), head)
        yield stored_bytes(tensor).data if head else tensor.SerializeToString()
    yield from (after, end)


def _head(tensor: Any) -> bytes:
    """Return what stands in front of a tensor's bytes where these are in its message."""
    named = onnx.TensorProto(name=tensor.name, data_type=tensor.data_type, dims=tensor.dims)
    length = _varint(len(stored_bytes(tensor)))
    return bytes(named.SerializeToString()) + _tag(RAW_DATA) + length


def _around(message: Any, number: int) -> tuple[bytes, bytes]:
    """Return the bytes of a message before and behind the field of that number."""
    fields = [(field.number, field.name) for field, _ in message.ListFields()]
    before = _copy_of(message, [name for place, name in fields if place < number])
    after = _copy_of(message, [name for place, name in fields if place > number])
    return before.SerializeToString(), after.SerializeToString()


def _tag(number: int) -> bytes:
    return bytes([number << 3 | 2])


def _varint(value: int) -> bytes:
    found = []
    while value > 0x7F:
        found.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*found, value])


def written_constant(name: str, array: NDArray[Any], file: BinaryIO, graph: Path) -> Any:
    """Return an initializer of the graph at that path; a large one is written to `file`, its external data."""
    if array.nbytes < MIN_EXTERNAL_BYTES:
        return numpy_helper.from_array(array, name)
    kind = helper.np_dtype_to_tensor_dtype(array.dtype)
    data = np.ascontiguousarray(array).data.cast("B")
    return _written(name, kind, array.shape, data, file, external_data_of(graph).name)


def _written(
    name: str, kind: int, shape: Sequence[int], data: bytes | memoryview, file: BinaryIO, place: str
) -> Any:
    """Write the bytes of a tensor to the file, and return a tensor that refers to them there."""
    file.write(b"\0" * (-file.tell() % PAGE))
    at = file.tell()
    file.write(data)
    return external_tensor(name, kind, shape, place, at, len(data))


def external_tensor(
    name: str, kind: int, shape: Sequence[int], file: str, offset: int, length: int
) -> Any:
    """Return a tensor whose bytes are in another file of the graph's folder; several may share bytes."""
    tensor = onnx.TensorProto(name=name, data_type=kind, dims=shape)
    tensor.data_location = onnx.TensorProto.EXTERNAL
    for key, value in {"location": file, "offset": offset, "length": length}.items():
        tensor.external_data.add(key=key, value=str(value))
    return tensor


def external_data_of(path: Path) -> Path:
    """Return the path of a graph's external data."""
    return path.with_name(f"{path.name}.data")


def remove(path: Path) -> None:
    """Remove a graph's files, if there are any."""
    path.unlink(missing_ok=True)
    external_data_of(path).unlink(missing_ok=True)


def constant_bytes(graph: Any) -> int:
    """Return the size of the graph's constants in bytes."""
    return sum(bytes_of(tensor) for tensor in graph.initializer)
