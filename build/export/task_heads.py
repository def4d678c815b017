"""What a task needs at the end of its graph, so that a session answers with one tensor and nothing is left to do."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from onnx import TensorProto, helper, numpy_helper

from build.export.pooling import add_pooling
from build.sources.source import TokenizedSource
from contracts.tasks import Task

# How exporters call the first product of a masked language model's head; what it reads is the encoder's output.
MASK_HEADS = ("/cls/", "/lm_head/", "/vocab_transform/", "/generator_predictions/")


def add_head(graph: Any, source: TokenizedSource) -> None:
    """Put the task's head on an exported graph."""
    if source.pooling:
        add_pooling(graph, source.pooling, source.folder)
    elif source.task is Task.QUESTION_ANSWERING:
        add_spans(graph)
    elif source.task is Task.FILL_MASK:
        add_masks(graph, source.details["mask_id"])
    elif source.task is Task.LANGUAGE_MODEL_SCORING:
        add_scores(graph)


def add_spans(graph: Any) -> None:
    """Make [batch, tokens, 2] of the logits of starts and of ends."""
    names = [output.name for output in graph.output]
    graph.initializer.append(numpy_helper.from_array(np.array([-1], np.int64), "span_axis"))
    nodes = [
        *(helper.make_node("Unsqueeze", [n, "span_axis"], [f"span_{n}"]) for n in names),
        helper.make_node("Concat", [f"span_{n}" for n in names], ["spans"], axis=-1),
    ]
    _append(graph, nodes, "span", "spans", ["batch", "tokens", 2])


def add_masks(graph: Any, mask_id: int) -> None:
    """Make [masks, vocabulary]: the head is computed for the places of the mask token and nowhere else."""
    inner = next((n for n in graph.node if n.name.startswith(MASK_HEADS)), None)
    hidden = inner.input[0] if inner else graph.output[0].name
    graph.initializer.append(numpy_helper.from_array(np.array(mask_id, np.int64), "mask_id"))
    nodes = [
        helper.make_node("Equal", ["input_ids", "mask_id"], ["mask_is"]),
        helper.make_node("NonZero", ["mask_is"], ["mask_columns"]),
        helper.make_node("Transpose", ["mask_columns"], ["mask_places"], perm=[1, 0]),
        helper.make_node("GatherND", [hidden, "mask_places"], ["mask_picked"]),
    ]
    width = graph.output[0].type.tensor_type.shape.dim[-1].dim_value
    shape: list[str | int] = ["masks", width or "vocabulary"]
    if inner is None:
        _append(graph, nodes, "mask", "mask_picked", shape)
        return
    for node in graph.node:
        if node.name.startswith(MASK_HEADS):
            node.input[:] = ["mask_picked" if n == hidden else n for n in node.input]
    name = graph.output[0].name
    place = list(graph.node).index(inner)
    _named(nodes, "mask")
    for offset, node in enumerate(nodes):
        graph.node.insert(place + offset, node)
    del graph.value_info[:]
    del graph.output[:]
    graph.output.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, shape))


def add_scores(graph: Any) -> None:
    """Make [batch, tokens - 1]: the log-probability of each token but the first, after those before it."""
    logits = graph.output[0].name
    for name, value in (("score_one", 1), ("score_end", (1 << 63) - 1), ("score_last", -1)):
        graph.initializer.append(numpy_helper.from_array(np.array([value], np.int64), name))
    following = ["input_ids", "score_one", "score_end", "score_one"]
    nodes = [
        helper.make_node("LogSoftmax", [logits], ["score_all"], axis=-1),
        helper.make_node("Slice", following, ["score_next"]),
        helper.make_node("Unsqueeze", ["score_next", "score_last"], ["score_places"]),
        helper.make_node("GatherElements", ["score_all", "score_places"], ["score_3d"], axis=2),
        helper.make_node("Squeeze", ["score_3d", "score_last"], ["log_probabilities"]),
    ]
    _append(graph, nodes, "score", "log_probabilities", ["batch", "scored"])


def _append(
    graph: Any, nodes: list[Any], prefix: str, output: str, shape: Sequence[str | int]
) -> None:
    """Put the nodes at the graph's end; what the last of them makes is the only output."""
    _named(nodes, prefix)
    graph.node.extend(nodes)
    del graph.output[:]
    graph.output.append(helper.make_tensor_value_info(output, TensorProto.FLOAT, list(shape)))


def _named(nodes: Sequence[Any], prefix: str) -> None:
    for number, node in enumerate(nodes):
        node.name = f"{prefix}_{number}_{node.op_type}"
