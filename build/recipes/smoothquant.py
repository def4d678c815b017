"""Move what makes activations hard to quantize into the weights (SmoothQuant, Xiao et al. 2023, arXiv:2211.10438).

A few channels of a transformer's activations are far larger than the rest, and one range over all channels then leaves
the others few of their 256 steps. Each channel is divided by s and its row of weights multiplied by s, which changes
nothing in exact arithmetic: s_j = max|X_j|^a / max|W_j|^(1-a), the maxima taken over the user's rows.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from onnx import helper, numpy_helper

from build.graph.edit import Floats, add_constant, constants, matmuls, remove_unused_constants
from build.graph.observe import observe
from functions.inference.tokens import Feeds

# a: 0.65 to 0.8 did best on MiniLM, by the error of the logits; the paper has 0.5 for larger models.
STRENGTH = 0.75
SMALLEST = 1e-5
# How what is added is called: after what the product makes.
SMOOTHED, SCALES = "_smooth", "_scales"


def smooth(model: Any, feeds: Sequence[Feeds], place: Path) -> None:
    """Even out the inputs of the model's constant matrix products, in place; `feeds` are the user's rows."""
    graph = model.graph
    nodes = matmuls(graph)
    peaks: dict[str, Floats] = {}

    def see(name: str, value: Floats) -> None:
        peak = np.abs(value).max(axis=0)
        peaks[name] = np.maximum(peaks.get(name, peak), peak)

    observe(model, sorted({node.input[0] for node in nodes}), feeds, place, see)
    weights = constants(graph)
    for node in nodes:
        matrix = numpy_helper.to_array(weights[node.input[1]])
        _divide(graph, node, matrix, _scales(peaks[node.input[0]], matrix))
    remove_unused_constants(graph)


def _scales(peak: Floats, matrix: Floats) -> Floats:
    """s, with a geometric mean of 1 so that the products keep their size."""
    rows = np.abs(matrix).max(axis=1)
    logs = STRENGTH * np.log(np.maximum(peak, SMALLEST))
    logs -= (1 - STRENGTH) * np.log(np.maximum(rows, SMALLEST))
    scales: Floats = np.exp(logs - logs.mean()).astype(np.float32)
    return scales


def _divide(graph: Any, node: Any, matrix: Floats, scales: Floats) -> None:
    """Divide what the node reads by the scales, and multiply its weights' rows by them."""
    name = f"{node.output[0]}{SMOOTHED}"  # nodes may have no name, outputs always do
    add_constant(graph, f"{name}{SCALES}", 1 / scales)
    add_constant(graph, f"{name}_weight", matrix * scales[:, None])
    divided = helper.make_node(
        "Mul", [node.input[0], f"{name}{SCALES}"], [name], name=f"{name}_Mul"
    )
    node.input[0], node.input[1] = name, f"{name}_weight"
    graph.node.insert(list(graph.node).index(node), divided)
