"""Static quantization of activations: ranges calibrated on the user's rows instead of computed for each request.

It saves the search for each tensor's minimum and maximum at run time, and no answer depends on its neighbours in a
batch. Values outside of a range are clipped. The rows are those of `build/families/calibration.py`.
"""

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import helper

from build.graph.edit import Floats, add_constant, replace_node
from build.graph.observe import observe
from functions.inference.token_batches import Feeds

# The least and the greatest value of a tensor, and the step of its integers with the one that is 0.
Range = tuple[float, float]
ScaleAndZero = tuple[NDArray[Any], NDArray[Any]]
TINY = float(np.finfo(np.float32).tiny)


def observed_ranges(
    model: Any, names: Collection[str], feeds: Sequence[Feeds], scratch: Path
) -> dict[str, list[Range]]:
    """Return each tensor's range on each of the feeds. `scratch` is the path of a temporary file.

    Every range holds 0, as with DynamicQuantizeLinear, so that an exact 0 stays one:
    https://onnx.ai/onnx/operators/onnx__DynamicQuantizeLinear.html
    """
    found: dict[str, list[Range]] = {}

    def keep(name: str, value: Floats) -> None:
        low, high = min(0.0, float(value.min())), max(0.0, float(value.max()))
        found.setdefault(name, []).append((low, high))

    observe(model, sorted(names), feeds, scratch, keep)
    return found


def common_range(ranges: Sequence[Range], share: float = 1) -> Range:
    """Return one range of several: at each end, a `share` of them goes no further. By default none does."""
    lows, highs = zip(*ranges, strict=True)
    return float(np.quantile(lows, 1 - share)), float(np.quantile(highs, share))


def dynamic_nodes(graph: Any) -> list[Any]:
    """Return the nodes that quantize an activation by its range in the request: of a source as well."""
    return [node for node in graph.node if node.op_type == "DynamicQuantizeLinear"]


def fix_ranges(model: Any, ranges: Mapping[str, Sequence[Range]]) -> None:
    """Replace each DynamicQuantizeLinear by a QuantizeLinear with its input's range on all rows, in place."""
    graph = model.graph
    for node in dynamic_nodes(graph):
        quantized, scale, zero_point = node.output
        found = spread(common_range(ranges[node.input[0]]))
        for name, value in zip((scale, zero_point), found, strict=True):
            add_constant(graph, name, value)
        new = helper.make_node(
            "QuantizeLinear", [node.input[0], scale, zero_point], [quantized], name=node.name
        )
        replace_node(graph, node, [new])


def spread(limits: Range) -> ScaleAndZero:
    """Return what spreads a range over the 256 values of an unsigned byte."""
    low, high = limits
    step = max((high - low) / 255, TINY)
    return np.array(step, np.float32), np.array(round(-low / step), np.uint8)


def symmetric(limits: Range) -> ScaleAndZero:
    """Return what spreads a range over the values of a signed byte, as far on both sides of 0."""
    low, high = limits
    step = max(-low, high, 127 * TINY) / 127
    return np.array(step, np.float32), np.array(0, np.int8)
