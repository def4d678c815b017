"""Int8 for OpenVINO: a graph in which QuantizeLinear and DequantizeLinear stand around each matrix product.

OpenVINO computes a product in 8 bits where it finds its inputs quantized so; ONNX Runtime would compute it in floats.
https://docs.openvino.ai/2026/openvino-workflow/model-optimization-guide/quantizing-models-post-training.html
"""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from onnx import helper

from build.graph.edit import (
    Floats,
    add_constant,
    constants,
    consumers,
    insert_before,
    matmuls,
    remove_unused_constants,
)
from build.graph.tensors import array_of
from build.recipes.dynamic_int8 import replace_gemms
from build.recipes.openvino.attention import Products, expand_attention
from build.recipes.saturation import quantize
from build.recipes.static_ranges import Range, ScaleAndZero, common_range, spread, symmetric

# The share of the rows that an activation's range holds whole. The rest are clipped: steps of the widest row's range
# are coarser for all, by which the logits of MiniLM move further away.
SHARE_OF_ROWS = 0.9
# Activations that OpenVINO computes by tanh within the product before them. Where that one is in 8 bits, QEMU's Haswell
# answers otherwise than a real processor that is limited to AVX2.
BY_TANH = ("Tanh", "FastGelu")


def activations_for_openvino(model: Any) -> set[str]:
    """Return the activations that may be quantized for OpenVINO; attention is expanded for it, in place."""
    replace_gemms(model)
    products = expand_attention(model.graph)
    read = {node.input[0] for node in matmuls(model.graph)}
    return read.union(*(each.floats for each in products))


def quantize_for_openvino(
    model: Any,
    ranges: Mapping[str, Sequence[Range]],
    *,
    attention: bool,
    in_float: Collection[str] = (),
) -> None:
    """Quantize the inputs and weights of the matrix products, in place, but for those with an output `in_float`.

    Those before a tanh stay in floats as well. With `attention`, its two products of activations are quantized too.
    Activations get the range that they have on most rows, of the `ranges` on each; weights are those that cannot
    saturate (see `build.recipes.saturation`).
    """
    replace_gemms(model)
    graph = model.graph
    products = expand_attention(graph) if attention else []
    left = {*in_float, *_before_tanh(graph)}
    nodes = [node for node in matmuls(graph) if node.output[0] not in left]
    limits = {name: common_range(found, SHARE_OF_ROWS) for name, found in ranges.items()}
    matrices = {node.output[0]: array_of(constants(graph)[node.input[1]]) for node in nodes}
    # Several products may read the same activations.
    for name in sorted({node.input[0] for node in nodes}):
        readers = [node for node in nodes if node.input[0] == name]
        _quantize_activations(graph, readers, name, spread(limits[name]))
    for node in nodes:
        name = node.output[0]
        node.input[1] = _quantize_weights(graph, node, name, matrices[name])
    _quantize_attention(graph, products, limits)
    remove_unused_constants(graph)


def _before_tanh(graph: Any) -> set[str]:
    """Return the outputs of products that a tanh follows, with or without a bias between them."""
    read = {name for node in graph.node if node.op_type in BY_TANH for name in node.input}
    biased = [node for node in graph.node if node.op_type == "Add" and node.output[0] in read]
    return read.union(*(node.input for node in biased))


def _quantize_attention(
    graph: Any, products: Sequence[Products], limits: Mapping[str, Range]
) -> None:
    """Quantize what the products of attention read.

    OpenVINO fuses attention in 8 bits only with signed queries, keys and values, whose zero is 0.
    """
    readers = consumers(graph)
    for each in products:
        for name in each.floats:
            _quantize_activations(graph, readers[name], name, symmetric(limits[name]))
        # Without VNNI two neighbours are summed in 16 bits, which these cannot saturate: all of a row come to 1.
        _quantize_activations(graph, readers[each.shares], each.shares, spread((0.0, 1.0)))


def _quantize_activations(
    graph: Any, readers: Sequence[Any], read: str, found: ScaleAndZero
) -> None:
    """Insert the nodes that quantize a tensor and give it back, and have the readers read what they give."""
    scale, zero, integers, floats = (
        f"{read}_{each}" for each in ("step", "zero", "integers", "floats")
    )
    for name, value in zip((scale, zero), found, strict=True):
        add_constant(graph, name, value)
    insert_before(
        graph,
        readers[0],
        [
            helper.make_node("QuantizeLinear", [read, scale, zero], [integers], name=integers),
            helper.make_node("DequantizeLinear", [integers, scale, zero], [floats], name=floats),
        ],
    )
    for node in readers:
        for place, name in enumerate(node.input):
            if name == read:
                node.input[place] = floats


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
