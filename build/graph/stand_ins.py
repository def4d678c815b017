"""Stand-ins for large constants while code of others rearranges a graph, which copies all of it many times.

A stand-in has the name of its constant, and in place of the numbers their SHA-256, so that two are equal where their
constants are.
"""

import hashlib
from collections.abc import Mapping
from typing import Any

import onnx

from build.graph.edit import constants, consumers
from build.graph.file import MIN_EXTERNAL_BYTES, without_constants
from build.graph.tensors import bytes_of, in_memory, raw_bytes


def with_stand_ins(model: Any) -> tuple[Any, Mapping[str, bytes]]:
    """Return a copy of the model with stand-ins for what nothing computes with, and the SHA-256 of each by its name.

    These are the matrices of products, but for those that are square: fusion of attention puts the matrices of queries,
    keys and values together, which are square in most models. Fusion of embeddings reads the tables of tokens, and of
    these only the width, so that a table becomes a row.
    """
    copy = without_constants(model)
    readers = consumers(model.graph)
    digests: dict[str, bytes] = {}
    for tensor in model.graph.initializer:
        operators = {node.op_type for node in readers.get(tensor.name, ())}
        if not _is_large_matrix(tensor) or operators not in ({"MatMul"}, {"Gather"}):
            copy.graph.initializer.append(in_memory(tensor))
            continue
        rows, columns = tensor.dims
        if rows == columns or (operators == {"Gather"} and rows < columns):
            copy.graph.initializer.append(in_memory(tensor))
            continue
        digest = digests[tensor.name] = hashlib.sha256(raw_bytes(tensor)).digest()
        dims, data = [rows, columns], digest
        if operators == {"Gather"}:
            dims, data = [1, columns], (digest * columns)[: 4 * columns]
        stand_in = onnx.TensorProto(
            name=tensor.name, data_type=tensor.data_type, dims=dims, raw_data=data
        )
        copy.graph.initializer.append(stand_in)
    return copy, digests


def put_back(changed: Any, model: Any, digests: Mapping[str, bytes]) -> bool:
    """Give the changed copy the constants of the model in place of stand-ins; return whether each was found."""
    own = constants(model.graph)
    wanted = set(digests.values())
    for tensor in changed.graph.initializer:
        digest = tensor.raw_data[:32]
        if digest in wanted:
            if digests.get(tensor.name) != digest:
                return False
            tensor.CopyFrom(own[tensor.name])
    return True


def _is_large_matrix(tensor: Any) -> bool:
    return (
        tensor.data_type == onnx.TensorProto.FLOAT
        and len(tensor.dims) == 2
        and bytes_of(tensor) >= MIN_EXTERNAL_BYTES
    )
