"""Int8 for OpenVINO: a graph in which QuantizeLinear and DequantizeLinear stand around each matrix product.

OpenVINO computes a product in 8 bits where it finds its inputs quantized so; ONNX Runtime would compute it in floats.
https://docs.openvino.ai/2026/openvino-workflow/model-optimization-guide/quantizing-models-post-training.html
"""

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

from onnx import helper, numpy_helper

from build.graph.edit import (
    Floats,
    add_constant,
    constants,
    insert_before,
    matmuls,
    remove_unused_constants,
)
from build.recipes.dynamic_int8 import replace_gemms
from build.recipes.saturation import quantize
from build.recipes.static_ranges import Range, add_range, ranges_of
from functions.inference.token_batches import Feeds


def quantize_for_openvino(
    model: Any, feeds: Sequence[Feeds], scratch: Path, *, in_float: Collection[str] = ()
) -> None:
    """Quantize the inputs and weights of the matrix products, in place, but for those with an output `in_float`.

    Activations get the range that they have on the feeds, the user's rows; weights are those that cannot saturate
    (see `build.recipes.saturation`). `scratch` is the path of a temporary file.
    """
    replace_gemms(model)
    graph = model.graph
    nodes = [node for node in matmuls(graph) if node.output[0] not in in_float]
    ranges = ranges_of(model, {node.input[0] for node in nodes}, feeds, scratch)
    matrices = {
        node.output[0]: numpy_helper.to_array(constants(graph)[node.input[1]]) for node in nodes
    }
    quantized: dict[str, str] = {}
    for node in nodes:
        read, name = node.input[0], node.output[0]
        # Several products may read the same activations.
        if read not in quantized:
            quantized[read] = _quantize_activations(graph, node, read, ranges[read])
        node.input[0] = quantized[read]
        node.input[1] = _quantize_weights(graph, node, name, matrices[name])
    remove_unused_constants(graph)


def _quantize_activations(graph: Any, before: Any, read: str, limits: Range) -> str:
    """Insert the nodes that quantize a tensor and give it back; return the name of what they give."""
    scale, zero = f"{read}_step", f"{read}_zero"
    add_range(graph, limits, scale, zero)
    integers, floats = f"{read}_integers", f"{read}_floats"
    insert_before(
        graph,
        before,
        [
            helper.make_node("QuantizeLinear", [read, scale, zero], [integers], name=integers),
            helper.make_node("DequantizeLinear", [integers, scale, zero], [floats], name=floats),
        ],
    )
    return floats


def _quantize_weights(graph: Any, before: Any, name: str, matrix: Floats) -> str:
    """Insert the node that gives quantized weights back as floats; return the name of what it gives."""
    integers, steps = quantize(matrix)
    floats = f"{name}_weight_floats"
    inputs = [
        add_constant(graph, f"{name}_weight_integers", integers),
        add_constant(graph, f"{name}_weight_steps", steps),
    ]
    node = helper.make_node("DequantizeLinear", inputs, [floats], name=floats, axis=1)
    insert_before(graph, before, [node])
    return floats
