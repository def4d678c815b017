"""Shapes of attention heads: their number stated, where an exported graph leaves it to be computed.

transformers 5 splits a projection into heads of a known size, and as many of them as there are: [batch, tokens, -1,
size]. ONNX Runtime's optimiser reads the number of heads there and fuses no attention without it.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import numpy_helper

from build.graph.edit import add_constant, constants, producers
from build.graph.tensors import array_of


def state_heads(graph: Any) -> None:
    """Put the number of heads in the place of a -1 in each Reshape to [batch, tokens, -1, size], in place."""
    made_by, values = producers(graph), _constant_values(graph)
    for node in [node for node in graph.node if node.op_type == "Reshape"]:
        shape = made_by.get(node.input[1])
        if shape is None or shape.op_type != "Concat" or len(shape.input) != 4:
            continue
        heads, size = (values.get(name) for name in shape.input[2:])
        if heads is None or size is None or heads.item() != -1:
            continue
        width = _width(made_by.get(node.input[0]), values)
        if width and width % size.item() == 0:
            name = f"{shape.output[0]}_heads"
            shape.input[2] = add_constant(graph, name, np.array([width // size.item()], np.int64))


def _constant_values(graph: Any) -> dict[str, NDArray[Any]]:
    values = {name: array_of(tensor) for name, tensor in constants(graph).items()}
    for node in graph.node:
        if node.op_type == "Constant" and node.attribute[0].name == "value":
            values[node.output[0]] = numpy_helper.to_array(node.attribute[0].t)
        elif node.op_type == "Identity" and node.input[0] in values:
            values[node.output[0]] = values[node.input[0]]
    return values


def _width(node: Any, values: dict[str, NDArray[Any]]) -> int:
    """Return the size of the last axis of a projection's output; 0 for any other node."""
    if node is None or node.op_type not in ("Add", "MatMul"):
        return 0
    return next((values[name].shape[-1] for name in node.input if name in values), 0)
