"""Fusion of attention that ONNX Runtime's optimiser does not match, into ONNX's own `Attention` operator.

The optimiser matches the whole of BERT's self-attention, projections included. It leaves attention with relative
positions (MPNet), rotary ones (ModernBERT, RoFormer) or weights shared by all layers (ALBERT) as it is. These have in
common softmax(Q K^T * scale + biases) V, which is what `Attention` computes since operator set 23, with the biases as
its mask: https://onnx.ai/onnx/operators/onnx__Attention.html. torch's newer exporter emits that operator as well, but
only for models that call torch's scaled_dot_product_attention.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from onnx import helper, numpy_helper

from build.graph.edit import add_constant, constants, consumers, insert_before, producers, prune

ATTENTION_OPSET = 23
# Permutations: [batch, tokens, heads, size] to [batch, heads, tokens, size] and back, and K to K^T.
HEADS_FIRST, KEYS_LAST, HEADS_FIRST_KEYS_LAST = [0, 2, 1, 3], [0, 1, 3, 2], [0, 2, 3, 1]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Graph:
    """A graph with the producer and the consumers of each tensor, and the value of each constant scalar."""

    producers: Mapping[str, Any]
    consumers: Mapping[str, list[Any]]
    scalars: Mapping[str, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Scores:
    """Q and K^T, both [batch, heads, ...], the biases added to their product, and its scale.

    A scale of None is the operator's default, 1 / sqrt(head size).
    """

    query: str
    key: str
    scale: float | None = 1.0
    biases: tuple[str, ...] = ()


def fuse_attention(graph: Any, heads: int) -> int:
    """Replace each attention by one operator, in place; return how many were replaced."""
    # The nodes that are replaced stay until `prune`, so what is read here holds for every softmax.
    seen = _read(graph)
    masks: dict[tuple[str, ...], str] = {}
    count = 0
    for softmax in [node for node in graph.node if node.op_type == "Softmax"]:
        scores = _scores(seen, softmax.input[0])
        readers = seen.consumers.get(softmax.output[0], [])
        if scores and len(readers) == 1 and _is_weighted_sum(readers[0], softmax.output[0]):
            _replace(graph, seen, scores, readers[0], heads, masks)
            count += 1
    if count:
        prune(graph)
    return count


def unfused_attention_count(graph: Any) -> int:
    """Return how many softmaxes are followed by a MatMul, so are an attention that is not one operator."""
    readers_of = consumers(graph)
    softmaxes = [node for node in graph.node if node.op_type == "Softmax"]
    readers = [reader for node in softmaxes for reader in readers_of.get(node.output[0], [])]
    return sum(node.op_type == "MatMul" for node in readers)


def at_opset_23(model: Any) -> Any:
    """Declare the operator set that has `Attention`, in place; no other operator of ours changed its meaning there."""
    for entry in model.opset_import:
        if entry.domain == "" and entry.version < ATTENTION_OPSET:
            entry.version = ATTENTION_OPSET
    return model


def _read(graph: Any) -> _Graph:
    values = constants(graph)
    for node in graph.node:
        if node.op_type == "Constant" and node.attribute[0].name == "value":
            values[node.output[0]] = node.attribute[0].t
    scalars = {
        name: float(numpy_helper.to_array(tensor).reshape(-1)[0])
        for name, tensor in values.items()
        if int(np.prod(tensor.dims)) == 1
    }
    return _Graph(producers=producers(graph), consumers=consumers(graph), scalars=scalars)


def _is_weighted_sum(node: Any, weights: str) -> bool:
    return node.op_type == "MatMul" and bool(node.input[0] == weights)


def _scores(seen: _Graph, name: str) -> _Scores | None:
    """Match the input of a softmax: a scaled product of two activations with biases added; None for anything else."""
    node = seen.producers.get(name)
    if node is None:
        return None
    if node.op_type == "MatMul":
        return _product(seen, *node.input)
    if node.op_type == "Add":
        for one, other in (node.input, reversed(node.input)):
            if scores := _scores(seen, one):
                return replace(scores, biases=(*scores.biases, other))
    if node.op_type in ("Mul", "Div") and node.input[1] in seen.scalars:
        scores, factor = _scores(seen, node.input[0]), seen.scalars[node.input[1]]
        # A factor after the biases would scale these too, which the operator cannot do.
        if scores and scores.scale and not scores.biases:
            factor = factor if node.op_type == "Mul" else 1 / factor
            return replace(scores, scale=scores.scale * factor)
    return None


def _product(seen: _Graph, query: str, key: str) -> _Scores | None:
    """Match Q K^T.

    As torch's scaled_dot_product_attention is exported, Q and K are each multiplied by the square root of the scale.
    """
    one, other = seen.producers.get(query), seen.producers.get(key)
    if one is None or other is None:
        return None
    if one.op_type == other.op_type == "Mul":
        factors = (one.input[1], other.input[1])
        scores = _Scores(query=one.input[0], key=other.input[0], scale=None)
        if all(name in seen.scalars for name in factors):
            return replace(scores, scale=seen.scalars[factors[0]] * seen.scalars[factors[1]])
        if all(_is_default_scale(seen, name) for name in factors):
            return scores
    return _Scores(query=query, key=key)


def _is_default_scale(seen: _Graph, name: str) -> bool:
    """Return True for sqrt(1 / sqrt(head size)) whose head size is read from a shape at run time."""
    for operator in ("Sqrt", "Div", "Sqrt", "Cast"):
        node = seen.producers.get(name)
        if node is None or node.op_type != operator:
            return False
        if operator == "Div" and seen.scalars.get(node.input[0]) != 1:
            return False
        name = node.input[-1]
    return True


def _replace(
    graph: Any,
    seen: _Graph,
    scores: _Scores,
    weighted_sum: Any,
    heads: int,
    masks: dict[tuple[str, ...], str],
) -> None:
    """Insert one operator before the MatMul with V, the last part of an attention, and give it that one's output."""
    output = weighted_sum.output[0]
    nodes: list[Any] = []
    mask = _mask(graph, scores.biases, masks, nodes)
    attributes: dict[str, Any] = {} if scores.scale is None else {"scale": scores.scale}
    joined = [_before_split(seen, n) for n in (scores.query, scores.key, weighted_sum.input[1])]
    join = _join_after(seen, output)
    if heads and join is not None and all(joined):
        # The operator splits and joins heads itself, so the transposes before and after it go.
        attributes |= {"q_num_heads": heads, "kv_num_heads": heads}
        inputs, last = joined, join
    else:
        key = _key(seen, scores.key, f"{output}_key", nodes)
        inputs, last = [scores.query, key, weighted_sum.input[1]], weighted_sum
    output = last.output[0]
    # No two nodes may make one tensor: the old node gets another name, and `prune` removes it, as nothing reads it.
    last.output[0] = f"{output}_unread"
    name = f"{output}_attention"
    nodes.append(helper.make_node("Attention", [*inputs, *mask], [output], name=name, **attributes))
    insert_before(graph, weighted_sum, nodes)


def _mask(
    graph: Any, biases: tuple[str, ...], masks: dict[tuple[str, ...], str], nodes: list[Any]
) -> list[str]:
    """Return the sum of the biases as the operator's mask, computed once for all layers that add the same.

    ONNX Runtime's kernel does not broadcast the axis of queries, which exporters leave at 1.
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
            # Every input of an encoder is [batch, tokens].
            helper.make_node("Shape", [graph.input[0].name], [tokens], start=1, end=2),
            helper.make_node("Concat", [tokens, one], [shape], axis=0),
            helper.make_node("Expand", [total, shape], [name]),
        ]
        for node in nodes:
            node.name = f"{node.output[0]}_{node.op_type}"
    return [masks[biases]]


def _permutation(node: Any) -> list[int]:
    # Without `perm`, a Transpose reverses all axes, which is none of those looked for.
    return next((list(a.ints) for a in node.attribute if a.name == "perm"), [])


def _key(seen: _Graph, name: str, output: str, nodes: list[Any]) -> str:
    """Return K as [batch, heads, tokens, size], out of K^T; a Transpose is appended to the nodes if it takes one."""
    node = seen.producers[name]
    if node.op_type == "Transpose" and _permutation(node) == KEYS_LAST:
        return str(node.input[0])
    if node.op_type == "Transpose" and _permutation(node) == HEADS_FIRST_KEYS_LAST:
        nodes.append(helper.make_node("Transpose", [node.input[0]], [output], perm=HEADS_FIRST))
    else:
        nodes.append(helper.make_node("Transpose", [name], [output], perm=KEYS_LAST))
    nodes[-1].name = f"{output}_Transpose"
    return output


def _before_split(seen: _Graph, name: str) -> str:
    """Return the [batch, tokens, heads * size] that a tensor was split into heads from; empty if it was not."""
    node = seen.producers.get(name)
    if node is not None and node.op_type == "Transpose" and _permutation(node) == KEYS_LAST:
        node = seen.producers.get(node.input[0])
    elif node is not None and _permutation(node) == HEADS_FIRST_KEYS_LAST:
        return _before_reshape(seen.producers.get(node.input[0]))
    if node is None or node.op_type != "Transpose" or _permutation(node) != HEADS_FIRST:
        return ""
    return _before_reshape(seen.producers.get(node.input[0]))


def _before_reshape(node: Any) -> str:
    return str(node.input[0]) if node is not None and node.op_type == "Reshape" else ""


def _join_after(seen: _Graph, name: str) -> Any:
    """Return the node that joins an attention's heads to [batch, tokens, heads * size]; None if others read them."""
    for operator in ("Transpose", "Reshape"):
        readers = seen.consumers.get(name, [])
        if len(readers) != 1 or readers[0].op_type != operator:
            return None
        if operator == "Transpose" and _permutation(readers[0]) != HEADS_FIRST:
            return None
        name = readers[0].output[0]
    return readers[0]
