"""Which layers the operator computes, and why it computes none of a graph."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

from build.graph.edit import constants, producers
from build.recipes.encoder_layers.attention import Attention, matched
from build.recipes.encoder_layers.seen import Product, Seen

# Columns of a block of packed weights: the lanes of a vector.
LANES = 16
# As layer.h has both.
MAX_HEAD = 256


class Activation(IntEnum):
    """The function between the two products behind attention."""

    GELU = 0
    GELU_TANH = 1
    RELU = 2
    SILU = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Layer:
    """A layer: its attention, its products in order, its normalizations, and its last node."""

    attention: Attention
    products: Sequence[Product]
    activation: Activation
    normalizations: Sequence[str]
    epsilon: float
    last: Any


def layers(model: Any) -> list[Layer]:
    """Return the layers of a graph that the operator computes."""
    seen = _seen(model)
    return [layer for node in _ends(model) if (layer := _layer(seen, node, model))]


def why_none(model: Any) -> str:
    """Return why the operator computes none of a graph's layers; empty if it computes one."""
    seen, attention = _seen(model), [n for n in model.graph.node if n.op_type == "Attention"]
    if not attention:
        return "its attention was not fused into one operator, as where scores depend on positions in several ways"
    if not any(matched(seen, node, model) for node in attention):
        return "its attention is not softmax(Q K + positions) V with a mask of padding, as where Q and K are rotated"
    ends = [found for node in _ends(model) if (found := _layer(seen, node, model, sizes=False))]
    if not ends:
        return "its layers are no attention and two products, each with a normalization behind the residual"
    if not any(map(_fits, ends)):
        return f"its heads or inner layers are no multiples of {LANES} columns"
    return ""


def _seen(model: Any) -> Seen:
    return Seen(producers=producers(model.graph), constants=constants(model.graph))


def _ends(model: Any) -> Iterator[Any]:
    return (node for node in model.graph.node if node.op_type == "SkipLayerNormalization")


def _layer(seen: Seen, last: Any, model: Any, *, sizes: bool = True) -> Layer | None:
    """Match the layer that ends with a normalization; None for what is not exactly one."""
    for down, second in _sums(seen, last):
        activated = _activated(seen, down.input)
        up = activated[1] if activated else None
        # The residual is what the product before it has read.
        middle = seen.made_by(second, "SkipLayerNormalization")
        if not activated or up is None or middle is None or up.input != second:
            continue
        for out, first in _sums(seen, middle):
            node = seen.made_by(out.input, "Attention")
            attention = matched(seen, node, model) if node is not None else None
            if attention and first == attention.qkv.input:
                products = (attention.qkv, out, up, down)
                return _of(attention, products, activated[0], (middle, last), sizes)
    return None


def _of(
    attention: Attention,
    products: Sequence[Product],
    activation: Activation,
    ends: tuple[Any, Any],
    sizes: bool,
) -> Layer | None:
    """Return the layer of those parts; None where their sizes or both normalizations do not fit."""
    middle, last = ends
    epsilons = {_epsilon(middle), _epsilon(last)}
    layer = Layer(
        attention=attention,
        products=products,
        activation=activation,
        normalizations=(*middle.input[2:4], *last.input[2:4]),
        epsilon=min(epsilons),
        last=last,
    )
    return layer if len(epsilons) == 1 and (not sizes or _fits(layer)) else None


def _sums(seen: Seen, node: Any) -> list[tuple[Product, str]]:
    """Return the product, with its bias, and the residual whose sum is normalized, whichever of both is which."""
    # Further outputs are the sum before it is normalized, which the operator has not.
    if len(node.output) > 1:
        return []
    pairs = ((node.input[0], node.input[1]), (node.input[1], node.input[0]))
    if len(node.input) == 5:
        found = [
            (seen.product(seen.made_by(one, "MatMul"), node.input[4]), other)
            for one, other in pairs
        ]
    else:
        found = [(seen.biased(one), other) for one, other in pairs]
    return [(product, other) for product, other in found if product]


def _activated(seen: Seen, name: str) -> tuple[Activation, Product] | None:
    """Return the activation that makes a tensor, and the product with its bias before it."""
    node = seen.producers.get(name)
    if node is None:
        return None
    with_bias = {"BiasGelu": Activation.GELU, "FastGelu": Activation.GELU_TANH}
    if node.op_type in with_bias and len(node.input) == 2:
        product = seen.product(seen.made_by(node.input[0], "MatMul"), node.input[1])
        return (with_bias[node.op_type], product) if product else None
    if node.op_type == "Relu" and (product := seen.biased(node.input[0])):
        return Activation.RELU, product
    if node.op_type == "Mul" and _is_silu(seen, node) and (product := _either(seen, node)):
        return Activation.SILU, product
    return None


def _is_silu(seen: Seen, node: Any) -> bool:
    """Return whether a node multiplies a tensor by its own sigmoid."""
    pairs = (node.input, tuple(reversed(node.input)))
    sigmoids = [(one, seen.made_by(other, "Sigmoid")) for one, other in pairs]
    return any(found is not None and found.input[0] == one for one, found in sigmoids)


def _either(seen: Seen, node: Any) -> Product | None:
    return next((product for name in node.input if (product := seen.biased(name))), None)


def _epsilon(node: Any) -> float:
    # https://github.com/microsoft/onnxruntime/blob/main/docs/ContribOperators.md: 1e-12 where it is not given.
    return next((float(a.f) for a in node.attribute if a.name == "epsilon"), 1e-12)


def _fits(layer: Layer) -> bool:
    """Return whether the layer has sizes that the operator takes, and matrices that belong together."""
    hidden, inner = len(layer.products[0].weights), len(layer.products[3].weights)
    shapes = [product.weights.shape for product in layer.products]
    wanted = [(hidden, 3 * hidden), (hidden, hidden), (hidden, inner), (inner, hidden)]
    heads = layer.attention.heads
    if shapes != wanted or not heads or hidden % heads:
        return False
    head = hidden // heads
    return head % LANES == 0 and head <= MAX_HEAD and inner % LANES == 0
