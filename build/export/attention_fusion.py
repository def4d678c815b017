"""Attention as one operator, in graphs whose attention ONNX Runtime's optimiser does not know.

The optimiser looks for the whole of BERT's self-attention, projections included, and passes over one with relative
positions (MPNet), rotated ones (ModernBERT, RoFormer) or weights shared by all layers (ALBERT). What these have in
common is softmax(Q K^T * scale + biases) V, which is what ONNX's own `Attention` computes (operator set 23), the
biases as its mask. torch's newer exporter writes that operator too, but only for models whose code calls torch's.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from onnx import helper, numpy_helper

from build.graph.edit import add_constant, constants, drop_unread, drop_unused

OPSET = 23
HEADS_FIRST = [
    0,
    2,
    1,
    3,
]  # [batch, tokens, heads, width] to [batch, heads, tokens, width], and back


@dataclass(frozen=True, slots=True, kw_only=True)
class _Graph:
    """What makes each tensor, what reads it, and the value of those that are one number."""

    made: Mapping[str, Any]
    read: Mapping[str, list[Any]]
    numbers: Mapping[str, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Scores:
    """Q and K^T, both [batch, heads, ...], what is added to their product, and its scale; None is the usual one."""

    query: str
    key: str
    scale: float | None = 1.0
    biases: tuple[str, ...] = ()


def fuse_attention(graph: Any, heads: int) -> int:
    """Replace each attention that is written out by one operator, in place; how many there were."""
    seen = _look(graph)
    masks: dict[tuple[str, ...], str] = {}
    found = 0
    for softmax in [node for node in graph.node if node.op_type == "Softmax"]:
        scores = _scores(seen, softmax.input[0])
        readers = seen.read.get(softmax.output[0], [])
        if scores and len(readers) == 1 and _weighs(readers[0], softmax.output[0]):
            _replace(graph, seen, scores, readers[0], heads, masks)
            found += 1
    if found:
        drop_unread(graph)
        drop_unused(graph)
    return found


def unfused_attention_count(graph: Any) -> int:
    """How many attentions are left that stand there as products around a softmax."""
    seen = _look(graph)
    softmaxes = [node for node in graph.node if node.op_type == "Softmax"]
    readers = [r for node in softmaxes for r in seen.read.get(node.output[0], [])]
    return sum(node.op_type == "MatMul" for node in readers)


def at_opset_23(model: Any) -> Any:
    """The model at the operator set that has `Attention`; what it holds besides means the same there."""
    for entry in model.opset_import:
        if entry.domain == "" and entry.version < OPSET:
            entry.version = OPSET
    return model


def _look(graph: Any) -> _Graph:
    read: dict[str, list[Any]] = {}
    values = constants(graph)
    for node in graph.node:
        if node.op_type == "Constant" and node.attribute[0].name == "value":
            values[node.output[0]] = node.attribute[0].t
        for name in node.input:
            read.setdefault(name, []).append(node)
    return _Graph(
        made={name: node for node in graph.node for name in node.output},
        read=read,
        numbers={
            name: float(numpy_helper.to_array(tensor).reshape(-1)[0])
            for name, tensor in values.items()
            if int(np.prod(tensor.dims)) == 1
        },
    )


def _weighs(node: Any, weights: str) -> bool:
    return node.op_type == "MatMul" and bool(node.input[0] == weights)


def _scores(seen: _Graph, name: str) -> _Scores | None:
    """What a softmax is taken of, if that is a scaled product of two activations and biases added to it."""
    node = seen.made.get(name)
    if node is None:
        return None
    if node.op_type == "MatMul":
        return _product(seen, *node.input)
    if node.op_type == "Add":
        for one, other in (node.input, reversed(node.input)):
            if inner := _scores(seen, one):
                return replace(inner, biases=(*inner.biases, other))
    if node.op_type in ("Mul", "Div") and node.input[1] in seen.numbers:
        inner, by = _scores(seen, node.input[0]), seen.numbers[node.input[1]]
        if inner and inner.scale and not inner.biases:
            return replace(inner, scale=inner.scale * (by if node.op_type == "Mul" else 1 / by))
    return None


def _product(seen: _Graph, query: str, key: str) -> _Scores | None:
    """Q K^T; torch's scaled_dot_product_attention scales each of the two by the square root of the scale."""
    one, other = seen.made.get(query), seen.made.get(key)
    if one is None or other is None:
        return None
    if one.op_type == other.op_type == "Mul":
        scales = (one.input[1], other.input[1])
        scored = _Scores(query=one.input[0], key=other.input[0], scale=None)
        if all(name in seen.numbers for name in scales):
            return replace(scored, scale=seen.numbers[scales[0]] * seen.numbers[scales[1]])
        if all(_usual(seen, name) for name in scales):
            return scored
    return _Scores(query=query, key=key)


def _usual(seen: _Graph, name: str) -> bool:
    """Whether that is sqrt(1 / sqrt(width)), with the width looked up while the graph runs."""
    for operator in ("Sqrt", "Div", "Sqrt", "Cast"):
        node = seen.made.get(name)
        if node is None or node.op_type != operator:
            return False
        if operator == "Div" and seen.numbers.get(node.input[0]) != 1:
            return False
        name = node.input[-1]
    return True


def _replace(
    graph: Any,
    seen: _Graph,
    scores: _Scores,
    product: Any,
    heads: int,
    masks: dict[tuple[str, ...], str],
) -> None:
    """Put one operator in the place of the product with V, which is the last part of an attention."""
    output = product.output[0]
    nodes: list[Any] = []
    mask = _mask(graph, scores.biases, masks, nodes)
    attributes: dict[str, Any] = {} if scores.scale is None else {"scale": scores.scale}
    flat = [_flat(seen, name) for name in (scores.query, scores.key, product.input[1])]
    joined = _joined(seen, output)
    if heads and joined is not None and all(flat):
        # With tokens before heads, nothing has to be turned around on the way in or out.
        attributes |= {"q_num_heads": heads, "kv_num_heads": heads}
        inputs, last = flat, joined
    else:
        key = _key(seen, scores.key, f"{output}_key", nodes)
        inputs, last = [scores.query, key, product.input[1]], product
    output = last.output[0]
    last.output[0] = f"{output}_unread"
    name = f"{output}_attention"
    nodes.append(helper.make_node("Attention", [*inputs, *mask], [output], name=name, **attributes))
    place = list(graph.node).index(product)
    for offset, node in enumerate(nodes):
        graph.node.insert(place + offset, node)


def _mask(
    graph: Any, biases: tuple[str, ...], masks: dict[tuple[str, ...], str], nodes: list[Any]
) -> list[str]:
    """The biases as one, computed once for all layers that add the same.

    ONNX Runtime's kernel wants a row for each query, where exporters leave that axis at 1.
    """
    if not biases:
        return []
    if biases not in masks:
        name = masks[biases] = f"attention_mask_{len(masks)}"
        total = biases[0]
        for number, bias in enumerate(biases[1:]):
            nodes.append(helper.make_node("Add", [total, bias], [f"{name}_sum_{number}"]))
            total = nodes[-1].output[0]
        one = add_constant(graph, f"{name}_one", np.ones(1, np.int64))
        tokens, shape = f"{name}_tokens", f"{name}_shape"
        nodes += [
            helper.make_node("Shape", [graph.input[0].name], [tokens], start=1, end=2),
            helper.make_node("Concat", [tokens, one], [shape], axis=0),
            helper.make_node("Expand", [total, shape], [name]),
        ]
        for node in nodes:
            node.name = f"{node.output[0]}_{node.op_type}"
    return [masks[biases]]


def _perm(node: Any) -> list[int]:
    return next((list(a.ints) for a in node.attribute if a.name == "perm"), [])


def _key(seen: _Graph, name: str, turned: str, nodes: list[Any]) -> str:
    """K as [batch, heads, tokens, width], out of K^T."""
    node = seen.made[name]
    if node.op_type == "Transpose" and _perm(node) == [0, 1, 3, 2]:
        return str(node.input[0])
    if node.op_type == "Transpose" and _perm(node) == [0, 2, 3, 1]:
        nodes.append(helper.make_node("Transpose", [node.input[0]], [turned], perm=HEADS_FIRST))
    else:
        nodes.append(helper.make_node("Transpose", [name], [turned], perm=[0, 1, 3, 2]))
    nodes[-1].name = f"{turned}_Transpose"
    return turned


def _flat(seen: _Graph, name: str) -> str:
    """The [batch, tokens, heads * width] that a tensor was cut and turned out of; empty where it was not."""
    node = seen.made.get(name)
    if node is not None and node.op_type == "Transpose" and _perm(node) == [0, 1, 3, 2]:
        node = seen.made.get(node.input[0])
    elif node is not None and _perm(node) == [0, 2, 3, 1]:
        return _cut(seen.made.get(node.input[0]))
    if node is None or node.op_type != "Transpose" or _perm(node) != HEADS_FIRST:
        return ""
    return _cut(seen.made.get(node.input[0]))


def _cut(node: Any) -> str:
    return str(node.input[0]) if node is not None and node.op_type == "Reshape" else ""


def _joined(seen: _Graph, name: str) -> Any:
    """The node that makes [batch, tokens, heads * width] of an attention's output, where nothing else reads it."""
    for operator in ("Transpose", "Reshape"):
        readers = seen.read.get(name, [])
        if len(readers) != 1 or readers[0].op_type != operator:
            return None
        if operator == "Transpose" and _perm(readers[0]) != HEADS_FIRST:
            return None
        name = readers[0].output[0]
    return readers[0]
