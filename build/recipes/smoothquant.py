"""SmoothQuant (Xiao et al. 2023, arXiv:2211.10438): activation outliers are moved into the weights.

A few channels of a transformer's activations are far larger than the rest, so one range over all channels leaves the
others few of their 256 steps. Each channel j is divided by s_j, and its row of weights multiplied by s_j, which changes
nothing in exact arithmetic: s_j = max|X_j|^a / max|W_j|^(1 - a), with maxima over the user's rows.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from onnx import helper

from build.graph.edit import (
    Floats,
    add_constant,
    constants,
    insert_before,
    matmuls,
    remove_unused_constants,
)
from build.graph.observe import observe
from build.graph.tensors import array_of
from functions.inference.token_batches import Feeds

# The migration strength a. 0.65 to 0.8 did best on MiniLM, by the error of its logits; the paper has 0.5 for models of
# billions of parameters.
STRENGTH = 0.75
TINY = 1e-5
# Suffixes of what is added, behind the name of the MatMul's output.
SMOOTHED, SCALES = "_smooth", "_scales"


def smooth(model: Any, feeds: Sequence[Feeds], scratch: Path) -> None:
    """Smooth the inputs of the MatMuls with a constant matrix, in place; `feeds` are the user's rows.

    `scratch` is the path of a temporary file.
    """
    graph = model.graph
    nodes = matmuls(graph)
    maxima: dict[str, Floats] = {}

    def keep_maximum(name: str, value: Floats) -> None:
        maximum = np.abs(value).max(axis=0)
        maxima[name] = np.maximum(maxima.get(name, maximum), maximum)

    observe(model, sorted({node.input[0] for node in nodes}), feeds, scratch, keep_maximum)
    weights = constants(graph)
    for node in nodes:
        matrix = array_of(weights[node.input[1]])
        _migrate(graph, node, matrix, _scales(maxima[node.input[0]], matrix))
    remove_unused_constants(graph)


def _scales(maximum: Floats, matrix: Floats) -> Floats:
    """Return s of each channel, with a geometric mean of 1, so that the tensors keep their size."""
    rows = np.abs(matrix).max(axis=1)
    logs = STRENGTH * np.log(np.maximum(maximum, TINY))
    logs -= (1 - STRENGTH) * np.log(np.maximum(rows, TINY))
    scales: Floats = np.exp(logs - logs.mean()).astype(np.float32)
    return scales


def _migrate(graph: Any, node: Any, matrix: Floats, scales: Floats) -> None:
    """Divide the node's input by the scales, and multiply the rows of its weights by them."""
    name = f"{node.output[0]}{SMOOTHED}"  # nodes may have no name, outputs always do
    add_constant(graph, f"{name}{SCALES}", 1 / scales)
    add_constant(graph, f"{name}_weight", matrix * scales[:, None])
    divided = helper.make_node(
        "Mul", [node.input[0], f"{name}{SCALES}"], [name], name=f"{name}_Mul"
    )
    node.input[0], node.input[1] = name, f"{name}_weight"
    insert_before(graph, node, [divided])
