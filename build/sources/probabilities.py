"""Graphs whose outputs are probabilities, changed to end in logits, which the heads of tasks expect.

A final Softmax or Sigmoid is removed. Where a converter has hidden it, its inverse is appended: the logarithms of
probabilities are logits, since their softmax gives the same probabilities.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import TensorProto, helper

from build.graph.edit import add_constant, int_attribute, producers
from build.sources.source import GraphSource
from build.tasks.description import TaskDescription

Floats = NDArray[np.float32]
ENDS = {"Softmax": "softmax", "Sigmoid": "sigmoid"}
# Bounds of probabilities in 32-bit floats, so that their logarithms stay finite.
# The second is the largest float32 below 1.
TINY, NEARLY_ONE = np.float32(1e-37), np.float32(1 - 2**-24)


def removable_activation(task: TaskDescription, end: str) -> str:
    """Return the final activation that this task's graph does without; "" where it is part of the output."""
    return end if end in task.graph.removable_activations else ""


def end_of(graph: Any) -> str:
    """Return the final activation of an ONNX graph: "softmax" over the last axis, "sigmoid", or ""."""
    node = _last(graph)
    if node is None or (node.op_type == "Softmax" and not _over_last(graph, node)):
        return ""
    return ENDS.get(node.op_type, "")


def is_pair(source: GraphSource, width: int) -> bool:
    """Return whether one output stands for two labels: the probability of the second."""
    return source.task.graph.binary and width == 1 and len(source.labels) == 2


def details_of(task: TaskDescription, end: str, width: int) -> dict[str, Any]:
    """Return the detail that several labels may hold at once, which a sigmoid over several outputs means."""
    several = task.graph.multi_label and end == "sigmoid" and width > 1
    return {"multi_label": True} if several else {}


def to_logits(graph: Any, source: GraphSource) -> None:
    """Change the graph so that its first output is logits, one for each label."""
    output = graph.output[0]
    name = output.name
    if source.removable_activation:
        if end_of(graph) == source.removable_activation:
            node = _last(graph)
            node.op_type = "Identity"
            del node.attribute[:]
        else:  # a converter may have written a softmax as its parts
            name = _inverted(graph, name, source.removable_activation)
    shape = [d.dim_value or d.dim_param or None for d in output.type.tensor_type.shape.dim]
    if shape and is_pair(source, shape[-1] if isinstance(shape[-1], int) else 0):
        name, shape[-1] = _paired(graph, name), 2
    if name != output.name:
        output.CopyFrom(helper.make_tensor_value_info(name, TensorProto.FLOAT, shape))


def as_logits(numbers: Floats, source: GraphSource) -> Floats:
    """Return the logits of a reference's outputs, as `to_logits` makes the graph compute them."""
    if source.removable_activation:
        kept = np.clip(
            numbers, TINY, NEARLY_ONE if source.removable_activation == "sigmoid" else None
        )
        numbers = np.log(kept)
        if source.removable_activation == "sigmoid":
            numbers = numbers - np.log1p(-kept)
    if is_pair(source, numbers.shape[-1]):
        numbers = np.concatenate([np.zeros_like(numbers), numbers], axis=-1)
    return numbers


def _last(graph: Any) -> Any:
    """Return the node that computes the first output, past any Identity."""
    makers = producers(graph)
    node = makers.get(graph.output[0].name)
    # Exporters leave an Identity where a dropout or a renamed output was.
    while node is not None and node.op_type == "Identity":
        node = makers.get(node.input[0])
    return node


def _over_last(graph: Any, node: Any) -> bool:
    axis = int_attribute(node, "axis", -1)
    return bool(axis in (-1, len(graph.output[0].type.tensor_type.shape.dim) - 1))


def _inverted(graph: Any, name: str, end: str) -> str:
    bounds = (TINY, NEARLY_ONE if end == "sigmoid" else np.float32(1))
    for part, bound in zip(("low", "high"), bounds, strict=True):
        add_constant(graph, f"tail_{part}", np.array(bound))
    nodes = [helper.make_node("Clip", [name, "tail_low", "tail_high"], ["tail_kept"])]
    nodes.append(helper.make_node("Log", ["tail_kept"], ["tail_log"]))
    if end == "sigmoid":
        add_constant(graph, "tail_one", np.array(1, np.float32))
        nodes += [
            helper.make_node("Sub", ["tail_one", "tail_kept"], ["tail_rest"]),
            helper.make_node("Log", ["tail_rest"], ["tail_rest_log"]),
            helper.make_node("Sub", ["tail_log", "tail_rest_log"], ["tail_logit"]),
        ]
    graph.node.extend(nodes)
    made: str = nodes[-1].output[0]
    return made


def _paired(graph: Any, name: str) -> str:
    """Append a logit of 0 for the first label: the softmax over both is the sigmoid of their difference."""
    graph.node.extend(
        [
            helper.make_node("Sub", [name, name], ["tail_zero"]),
            helper.make_node("Concat", ["tail_zero", name], ["tail_pair"], axis=-1),
        ]
    )
    return "tail_pair"
