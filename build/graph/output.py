"""The output of a graph, replaced by what nodes at its end make of it."""

from collections.abc import Sequence
from typing import Any

from onnx import TensorProto, helper


def append_output(
    graph: Any, nodes: Sequence[Any], prefix: str, output: str, shape: Sequence[str | int]
) -> None:
    """Put nodes at the graph's end, and make the tensor `output` of the last one its only output."""
    name_nodes(nodes, prefix)
    graph.node.extend(nodes)
    replace_outputs(graph, output, shape)


def replace_outputs(graph: Any, output: str, shape: Sequence[str | int]) -> None:
    """Make a float tensor the graph's only output."""
    del graph.output[:]
    graph.output.append(helper.make_tensor_value_info(output, TensorProto.FLOAT, list(shape)))


def name_nodes(nodes: Sequence[Any], prefix: str) -> None:
    """Name nodes by a prefix, their number and their operator."""
    for number, node in enumerate(nodes):
        node.name = f"{prefix}_{number}_{node.op_type}"
