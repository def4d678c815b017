"""Stand-ins for large constants while code of others rearranges a graph, which copies all of it many times.

A stand-in has the name and the shape of its constant, and in place of the numbers their SHA-256, so that two are equal
where their constants are.
"""

import hashlib
import math
from typing import Any

import onnx
from onnx import helper

from build.graph.edit import constants, consumers
from build.graph.file import MIN_EXTERNAL_BYTES, copy_without


def with_stand_ins(model: Any) -> Any:
    """Return a copy of the model with stand-ins for the matrices of products, but for those that are square.

    Fusion of attention puts the matrices of queries, keys and values together, which are square in most models; that of
    embeddings reads tables.
    """
    copy = copy_without(model, "graph")
    copy.graph.CopyFrom(copy_without(model.graph, "initializer"))
    readers = consumers(model.graph)
    for tensor in model.graph.initializer:
        operators = {node.op_type for node in readers.get(tensor.name, ())}
        if operators == {"MatMul"} and _stands_in(tensor):
            digest = hashlib.sha256(tensor.raw_data).digest()
            stand_in = onnx.TensorProto(
                name=tensor.name, data_type=tensor.data_type, dims=tensor.dims, raw_data=digest
            )
            copy.graph.initializer.append(stand_in)
        else:
            copy.graph.initializer.append(tensor)
    return copy


def put_back(changed: Any, model: Any) -> bool:
    """Give the changed copy the constants of the model in place of stand-ins; return whether each was found."""
    own = constants(model.graph)
    for tensor in changed.graph.initializer:
        if tensor.HasField("raw_data") and len(tensor.raw_data) != _bytes(tensor):
            whole = own.get(tensor.name)
            if whole is None or whole.dims != tensor.dims or whole.data_type != tensor.data_type:
                return False
            tensor.CopyFrom(whole)
    return True


def _stands_in(tensor: Any) -> bool:
    return (
        tensor.data_type == onnx.TensorProto.FLOAT
        and len(tensor.dims) == 2
        and tensor.dims[0] != tensor.dims[1]
        and tensor.HasField("raw_data")
        and len(tensor.raw_data) >= MIN_EXTERNAL_BYTES
    )


def _bytes(tensor: Any) -> int:
    return int(math.prod(tensor.dims) * helper.tensor_dtype_to_np_dtype(tensor.data_type).itemsize)
