"""Graphs as files: in one piece, or with their constants in a file beside them where one piece cannot hold these.

ONNX is written as protobuf, which holds 2 GiB: https://onnx.ai/onnx/repo-docs/ExternalData.html
"""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, BinaryIO

import onnx
from onnx import helper, numpy_helper

# What is left is for the nodes.
MOST_BYTES = (1 << 31) - (1 << 24)
# Constants that are smaller stay in the graph.
BESIDE_BYTES = 1024
# Where a constant begins, so that it can be mapped into memory as it lies there.
PAGE = 4096


def save(model: Any, path: Path, most: int = MOST_BYTES) -> None:
    """Write the model to `path`, and its constants to `path`.data where they are more than `most` bytes.

    What was at either place before is gone.
    """
    beside = beside_of(path)
    beside.unlink(missing_ok=True)
    if constant_bytes(model.graph) > most:
        model = _parted(model, beside)
    onnx.save(model, path)


def _parted(model: Any, beside: Path) -> Any:
    """The model with its constants written to that file, each at a page's beginning, without a copy of them all."""
    parted = _without(model, "graph")
    parted.graph.CopyFrom(_without(model.graph, "initializer"))
    with beside.open("wb") as file:
        for tensor in model.graph.initializer:
            if _bytes_of(tensor) >= BESIDE_BYTES:
                file.write(b"\0" * (-file.tell() % PAGE))
                parted.graph.initializer.append(_written(tensor, file, beside.name))
            else:
                parted.graph.initializer.append(tensor)
    return parted


def _without(message: Any, left_out: str) -> Any:
    """A copy of the message but for that field."""
    found = type(message)()
    for field, value in message.ListFields():
        if field.name == left_out:
            continue
        if isinstance(value, str | bytes | int | float):
            setattr(found, field.name, value)
        elif hasattr(value, "CopyFrom"):
            getattr(found, field.name).CopyFrom(value)
        else:
            getattr(found, field.name).extend(value)
    return found


def _written(tensor: Any, file: BinaryIO, name: str) -> Any:
    """Write the tensor's numbers to the file, and return a tensor that refers to them."""
    data = tensor.raw_data or numpy_helper.to_array(tensor).tobytes()
    outside = external_tensor(
        tensor.name, tensor.data_type, tensor.dims, name, file.tell(), len(data)
    )
    file.write(data)
    return outside


def external_tensor(
    name: str, kind: int, shape: Sequence[int], file: str, offset: int, length: int
) -> Any:
    """Return a tensor whose bytes are in another file of the graph's folder; several may share bytes."""
    tensor = onnx.TensorProto(name=name, data_type=kind, dims=shape)
    tensor.data_location = onnx.TensorProto.EXTERNAL
    for key, value in {"location": file, "offset": offset, "length": length}.items():
        tensor.external_data.add(key=key, value=str(value))
    return tensor


def beside_of(path: Path) -> Path:
    """Where the constants of a graph are that do not fit into its file."""
    return path.with_name(f"{path.name}.data")


def constant_bytes(graph: Any) -> int:
    """How many bytes the graph's constants take."""
    return sum(_bytes_of(tensor) for tensor in graph.initializer)


def _bytes_of(tensor: Any) -> int:
    kind = helper.tensor_dtype_to_np_dtype(tensor.data_type)
    return int(math.prod(tensor.dims)) * int(kind.itemsize)
