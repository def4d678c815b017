"""Static quantization of activations: ranges calibrated on the user's rows instead of computed for each request.

It saves the search for each tensor's minimum and maximum at run time, and no answer depends on its neighbours in a
batch. Values outside of a range are clipped. The rows are those of `build/families/calibration.py`.
"""

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from onnx import helper

from build.graph.edit import Floats, add_constant, replace_node
from build.graph.observe import observe
from functions.inference.token_batches import Feeds

# The least and the greatest value of a tensor.
Range = tuple[float, float]


def fix_ranges(model: Any, feeds: Sequence[Feeds], scratch: Path) -> None:
    """Replace each DynamicQuantizeLinear by a QuantizeLinear with the range on the rows, in place.

    `scratch` is the path of a temporary file.
    """
    graph = model.graph
    nodes = [node for node in graph.node if node.op_type == "DynamicQuantizeLinear"]
    ranges = ranges_of(model, {node.input[0] for node in nodes}, feeds, scratch)
    for node in nodes:
        quantized, scale, zero_point = node.output
        add_range(graph, ranges[node.input[0]], scale, zero_point)
        new = helper.make_node(
            "QuantizeLinear", [node.input[0], scale, zero_point], [quantized], name=node.name
        )
        replace_node(graph, node, [new])


def ranges_of(
    model: Any, names: Collection[str], feeds: Sequence[Feeds], scratch: Path
) -> dict[str, Range]:
    """Return the least and the greatest value of each of the tensors on the feeds.

    Every range holds 0, as with DynamicQuantizeLinear, so that an exact 0 stays one:
    https://onnx.ai/onnx/operators/onnx__DynamicQuantizeLinear.html
    """
    ranges: dict[str, Range] = {}

    def widen(name: str, value: Floats) -> None:
        low, high = ranges.get(name, (0.0, 0.0))
        ranges[name] = min(low, float(value.min())), max(high, float(value.max()))

    observe(model, sorted(names), feeds, scratch, widen)
    return ranges


def add_range(graph: Any, limits: Range, scale: str, zero_point: str) -> None:
    """Add the constants, by those names, that spread a range over the 256 values of an unsigned byte."""
    low, high = limits
    step = max((high - low) / 255, float(np.finfo(np.float32).tiny))
    add_constant(graph, scale, np.array(step, np.float32))
    add_constant(graph, zero_point, np.array(round(-low / step), np.uint8))
