"""Ranges of activations fixed ahead of time, by what they were on the user's rows.

A dynamically quantized graph looks for the least and largest value of each activation on every request. Fixed ranges
save that, and no answer depends on its neighbours in a batch; what falls outside of them is cut off.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from onnx import helper

from build.graph.edit import Floats, add_constant, replace_node
from build.graph.observe import observe
from functions.inference.tokens import Feeds


def fix_ranges(model: Any, feeds: Sequence[Feeds], place: Path) -> None:
    """Replace each DynamicQuantizeLinear by QuantizeLinear with the range seen on the rows, in place."""
    graph = model.graph
    nodes = [node for node in graph.node if node.op_type == "DynamicQuantizeLinear"]
    ranges: dict[str, tuple[float, float]] = {}

    def see(name: str, value: Floats) -> None:
        low, high = ranges.get(name, (0.0, 0.0))
        ranges[name] = min(low, float(value.min())), max(high, float(value.max()))

    observe(model, sorted({node.input[0] for node in nodes}), feeds, place, see)
    for node in nodes:
        quantized, scale, zero = node.output
        low, high = ranges[node.input[0]]
        step = max((high - low) / 255, float(np.finfo(np.float32).tiny))
        add_constant(graph, scale, np.array(step, np.float32))
        add_constant(graph, zero, np.array(round(-low / step), np.uint8))
        new = helper.make_node(
            "QuantizeLinear", [node.input[0], scale, zero], [quantized], name=node.name
        )
        replace_node(graph, node, [new])
