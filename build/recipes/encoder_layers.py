"""Layers of BERT encoders as one operator of our own each, `EncoderLayer` of `build/kernels`.

The fused graph has attention, two normalizations with their residuals, and a GELU between two products; recipes may
have put a smoothing `Mul` before each product. The operator computes all of it in 8 bits, so nothing of a layer is
written to memory in floats but its output. It takes what BERT's own layers look like after fusion, and leaves the rest.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from build.graph.edit import (
    Floats,
    add_constant,
    constants,
    int_attribute,
    producers,
    prune,
    remove_unused_constants,
    replace_node,
)
from build.recipes.saturation import quantize
from build.recipes.smoothquant import SCALES

DOMAIN, OPERATOR = "turnout", "EncoderLayer"
# Columns of a block of packed weights, and rows of a group in it: the lanes of a vector, and the bytes of a lane.
LANES, GROUP = 16, 4
# As layer.h has it.
MAX_HEAD = 256


@dataclass(frozen=True, slots=True, kw_only=True)
class _Product:
    """A matrix product: its input before it is smoothed, its weights and bias, and the factors of smoothing."""

    input: str
    weights: Floats
    bias: Floats
    smooth: Floats


@dataclass(frozen=True, slots=True, kw_only=True)
class _Layer:
    """A layer: its input and mask, its products in order, its normalizations, and its last node."""

    input: str
    mask: str
    products: Sequence[_Product]
    normalizations: Sequence[str]
    heads: int
    epsilon: float
    last: Any


@dataclass(frozen=True, slots=True, kw_only=True)
class _Graph:
    producers: Mapping[str, Any]
    constants: Mapping[str, Any]

    def made_by(self, name: str, operator: str) -> Any | None:
        """Return the node of that operator that makes a tensor."""
        node = self.producers.get(name)
        return node if node is not None and node.op_type == operator else None

    def array(self, name: str) -> Floats | None:
        """Return a constant; None for what a node makes."""
        tensor = self.constants.get(name)
        return None if tensor is None else numpy_helper.to_array(tensor)

    def product(self, node: Any, bias: str) -> _Product | None:
        """Return the product of a MatMul or Attention with constant weights and bias."""
        weights, added = self.array(node.input[1]), self.array(bias)
        if weights is None or added is None:
            return None
        smoothing, name = self.made_by(node.input[0], "Mul"), node.input[0]
        smooth: Floats | None = None
        if smoothing is not None and smoothing.input[1].endswith(SCALES):
            name, smooth = smoothing.input[0], self.array(smoothing.input[1])
        ones = np.ones(len(weights), np.float32)
        return _Product(
            input=name, weights=weights, bias=added, smooth=ones if smooth is None else smooth
        )


def fuse_layers(model: Any) -> int:
    """Replace each layer by one operator, in place; return how many there were."""
    graph = model.graph
    seen = _Graph(producers=producers(graph), constants=constants(graph))
    ends = [node for node in graph.node if node.op_type == "SkipLayerNormalization"]
    layers = [layer for node in ends if (layer := _layer(seen, node)) is not None]
    for layer in layers:
        _replace(graph, layer)
    if layers:
        model.opset_import.append(helper.make_opsetid(DOMAIN, 1))
        prune(graph)
        remove_unused_constants(graph)
    return len(layers)


def _layer(seen: _Graph, last: Any) -> _Layer | None:
    """Match the layer that ends with a normalization; None for what is not exactly one."""
    down = _normalized(seen, last)
    gelu = seen.made_by(down.input, "BiasGelu") if down else None
    up_node = seen.made_by(gelu.input[0], "MatMul") if gelu else None
    up = seen.product(up_node, gelu.input[1]) if up_node is not None and gelu else None
    middle = seen.made_by(up.input, "SkipLayerNormalization") if up else None
    out = _normalized(seen, middle) if middle else None
    attention = seen.made_by(out.input, "Attention") if out else None
    if not (down and up and out and middle and attention) or not _is_plain(attention):
        return None
    qkv = seen.product(attention, attention.input[2])
    # Both residuals are what the products before them have read.
    if not qkv or middle.input[1] != qkv.input or last.input[1] != up.input:
        return None
    epsilons = {_epsilon(middle), _epsilon(last)}
    layer = _Layer(
        input=qkv.input,
        mask=attention.input[3],
        products=(qkv, out, up, down),
        normalizations=(*middle.input[2:4], *last.input[2:4]),
        heads=int_attribute(attention, "num_heads"),
        epsilon=min(epsilons),
        last=last,
    )
    return layer if len(epsilons) == 1 and _fits(layer) else None


def _normalized(seen: _Graph, node: Any) -> _Product | None:
    """Return the product whose sum with the residual and its bias a SkipLayerNormalization normalizes."""
    product = seen.made_by(node.input[0], "MatMul")
    # Further outputs are the sum before it is normalized, which the operator has not.
    if product is None or len(node.input) != 5 or len(node.output) > 1:
        return None
    return seen.product(product, node.input[4])


def _is_plain(attention: Any) -> bool:
    """Return whether an Attention is BERT's: with a mask of the texts' tokens and nothing added to its scores."""
    allowed = {"num_heads", "mask_filter_value", "unidirectional"}
    plain = len(attention.input) == 4 and {a.name for a in attention.attribute} <= allowed
    return plain and bool(attention.input[3]) and not int_attribute(attention, "unidirectional")


def _epsilon(node: Any) -> float:
    # https://github.com/microsoft/onnxruntime/blob/main/docs/ContribOperators.md: 1e-12 where it is not given.
    return next((float(a.f) for a in node.attribute if a.name == "epsilon"), 1e-12)


def _fits(layer: _Layer) -> bool:
    """Return whether the layer has sizes that the operator takes, and matrices that belong together."""
    hidden, inner = len(layer.products[0].weights), len(layer.products[3].weights)
    shapes = [product.weights.shape for product in layer.products]
    wanted = [(hidden, 3 * hidden), (hidden, hidden), (hidden, inner), (inner, hidden)]
    if shapes != wanted or not layer.heads or hidden % layer.heads:
        return False
    head = hidden // layer.heads
    return head % LANES == 0 and head <= MAX_HEAD and inner % LANES == 0


def _replace(graph: Any, layer: _Layer) -> None:
    name = layer.last.output[0]
    inputs = [layer.input, layer.mask]
    for place, product in zip(("qkv", "out", "up", "down"), layer.products, strict=True):
        integers, scales = quantize(product.weights)
        parts = {
            "weight": packed(integers),
            "scale": scales,
            "bias": product.bias,
            "sum": integers.sum(axis=0, dtype=np.int32),
            "smooth": product.smooth,
        }
        inputs += [add_constant(graph, f"{name}_{place}_{k}", v) for k, v in parts.items()]
    hidden, inner = layer.products[2].weights.shape
    new = helper.make_node(
        OPERATOR,
        [*inputs, *layer.normalizations],
        [name],
        name=name,
        domain=DOMAIN,
        heads=layer.heads,
        hidden=hidden,
        inner=inner,
        epsilon=layer.epsilon,
    )
    replace_node(graph, layer.last, [new])


def packed(integers: NDArray[np.int8]) -> NDArray[np.int8]:
    """Return a matrix [rows, columns] as [columns / 16, rows / 4, 16, 4], as the operator reads it."""
    rows, columns = integers.shape
    blocks = integers.reshape(rows // GROUP, GROUP, columns // LANES, LANES)
    return np.ascontiguousarray(blocks.transpose(2, 0, 3, 1))
