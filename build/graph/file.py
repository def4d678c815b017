"""ONNX files: one file, or two if the constants do not fit into the first.

ONNX is written as protobuf, which holds 2 GiB at most. Larger constants are external data:
https://onnx.ai/onnx/repo-docs/ExternalData.html
"""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, BinaryIO

import onnx
from onnx import helper, numpy_helper

# 16 MiB of protobuf's 2 GiB are left for the nodes.
MAX_BYTES = (1 << 31) - (1 << 24)
# Smaller constants stay in the graph, as with onnx.save_model: shape inference needs those of shapes.
MIN_EXTERNAL_BYTES = 1024
# "Offset values SHOULD be multiples of the page size" (the specification above), so that mmap can be used.
PAGE = 4096


def save(model: Any, path: Path, max_bytes: int = MAX_BYTES) -> None:
    """Write the model to `path`, and its constants to `path`.data if they take more than `max_bytes`.

    Files that are there already are replaced, and external data of an older graph is removed.
    """
    external = external_data_of(path)
    external.unlink(missing_ok=True)
    if constant_bytes(model.graph) > max_bytes:
        model = _with_external_data(model, external)
    onnx.save(model, path)


def _with_external_data(model: Any, path: Path) -> Any:
    """Return the model with its constants in that file, each at the beginning of a page.

    The constants are never copied in memory, where a large model leaves no room for a second one.
    """
    external = copy_without(model, "graph")
    external.graph.CopyFrom(copy_without(model.graph, "initializer"))
    with path.open("wb") as file:
        for tensor in model.graph.initializer:
            if _bytes_of(tensor) >= MIN_EXTERNAL_BYTES:
                file.write(b"\0" * (-file.tell() % PAGE))
                external.graph.initializer.append(_write(tensor, file, path.name))
            else:
                external.graph.initializer.append(tensor)
    return external


def copy_without(message: Any, left_out: str) -> Any:
    """Return a copy of the protobuf message without one of its fields."""
    copy = type(message)()
    for field, value in message.ListFields():
        if field.name == left_out:
            continue
        if isinstance(value, str | bytes | int | float):
            setattr(copy, field.name, value)
        elif hasattr(value, "CopyFrom"):
            getattr(copy, field.name).CopyFrom(value)
        else:
            getattr(copy, field.name).extend(value)
    return copy


def _write(tensor: Any, file: BinaryIO, name: str) -> Any:
    """Write the tensor's numbers to the file, and return a tensor that refers to them."""
    data = tensor.raw_data or numpy_helper.to_array(tensor).tobytes()
    reference = external_tensor(
        tensor.name, tensor.data_type, tensor.dims, name, file.tell(), len(data)
    )
    file.write(data)
    return reference


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
    return sum(_bytes_of(tensor) for tensor in graph.initializer)


def _bytes_of(tensor: Any) -> int:
    kind = helper.tensor_dtype_to_np_dtype(tensor.data_type)
    return int(math.prod(tensor.dims)) * int(kind.itemsize)
