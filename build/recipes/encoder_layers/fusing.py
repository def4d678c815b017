"""The operator in the place of each layer that it computes."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import TensorProto, helper

from build.graph.edit import add_constant, prune, remove_unused_constants, replace_node
from build.recipes.encoder_layers.attention import MASK
from build.recipes.encoder_layers.matching import LANES, Layer, layers
from build.recipes.saturation import quantize

DOMAIN, OPERATOR = "turnout", "EncoderLayer"
# Rows of a group in a block of packed weights: the bytes of a lane.
GROUP = 4


def fuse_layers(model: Any) -> int:
    """Replace each layer by one operator, in place; return how many there were."""
    graph, found = model.graph, layers(model)
    if not found:
        return 0
    # Fused attention may have the number of each text's tokens instead.
    mask = f"{MASK}_of_layers"
    cast = helper.make_node("Cast", [MASK], [mask], name=mask, to=TensorProto.INT32)
    graph.node.insert(0, cast)
    for layer in found:
        _replace(graph, layer, mask)
    model.opset_import.append(helper.make_opsetid(DOMAIN, 1))
    prune(graph)
    remove_unused_constants(graph)
    return len(found)


def _replace(graph: Any, layer: Layer, mask: str) -> None:
    name = layer.last.output[0]
    inputs = [layer.attention.qkv.input, mask]
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
    inputs += layer.normalizations
    if layer.attention.positions:
        inputs.append(layer.attention.positions)
    hidden, inner = layer.products[2].weights.shape
    new = helper.make_node(
        OPERATOR,
        inputs,
        [name],
        name=name,
        domain=DOMAIN,
        heads=layer.attention.heads,
        hidden=hidden,
        inner=inner,
        activation=int(layer.activation),
        epsilon=layer.epsilon,
    )
    replace_node(graph, layer.last, [new])


def packed(integers: NDArray[np.int8]) -> NDArray[np.int8]:
    """Return a matrix [rows, columns] as [columns / 16, rows / 4, 16, 4], as the operator reads it."""
    rows, columns = integers.shape
    blocks = integers.reshape(rows // GROUP, GROUP, columns // LANES, LANES)
    return np.ascontiguousarray(blocks.transpose(2, 0, 3, 1))
