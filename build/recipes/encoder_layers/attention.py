"""Attention with its projections, as it was fused: ONNX Runtime's operator, or ONNX's own with products of its own.

ONNX's has a mask that is added to the scores. What it has of padding, our operator takes from the graph's input; the
rest, such as relative positions, has to be the same for all texts. Both are told apart by computing them.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
from numpy.typing import NDArray
from onnx import helper

from build.graph.edit import int_attribute
from build.graph.tensors import in_memory
from build.recipes.encoder_layers.seen import Product, Seen

MASK = "attention_mask"
# Scores that get this added have no share left.
FAR = -1e4
# Tokens of the texts that the parts of a mask are computed for: a window of attention shows where texts are longer.
# Where a graph has fewer positions, the next number is taken.
LENGTHS = (512, 128, 32, 5)


@dataclass(frozen=True, slots=True, kw_only=True)
class Attention:
    """Queries, keys and values as one product; padding is masked.

    `positions` is the tensor [1, heads, tokens, tokens] that is added to the scores, if any.
    """

    qkv: Product
    heads: int
    positions: str = ""


def matched(seen: Seen, node: Any, model: Any) -> Attention | None:
    """Return an attention that the operator computes; None for any other."""
    return _separate(seen, node, model) if not node.domain else _together(seen, node)


def _together(seen: Seen, node: Any) -> Attention | None:
    """Match ONNX Runtime's operator with a mask of padding and nothing added to its scores."""
    allowed = {"num_heads", "mask_filter_value", "unidirectional"}
    plain = len(node.input) == 4 and {a.name for a in node.attribute} <= allowed
    if not plain or int_attribute(node, "unidirectional") or not _is_mask(seen, node.input[3]):
        return None
    qkv = seen.product(node, node.input[2])
    return Attention(qkv=qkv, heads=int_attribute(node, "num_heads")) if qkv else None


def _is_mask(seen: Seen, name: str) -> bool:
    """Return whether a tensor is the graph's mask as integers, or the number of tokens that it leaves to each text."""
    node = seen.producers.get(name)
    if node is None or name == MASK:
        return name == MASK
    if node.op_type == "EmbedLayerNormalization":
        return len(node.input) > 7 and name == node.output[1] and _is_mask(seen, node.input[7])
    return node.op_type in ("Cast", "ReduceSum") and _is_mask(seen, node.input[0])


def _separate(seen: Seen, node: Any, model: Any) -> Attention | None:
    """Match ONNX's operator over three products of one input, with its default scale."""
    heads = int_attribute(node, "q_num_heads")
    scale = next((a.f for a in node.attribute if a.name == "scale"), None)
    allowed = {"q_num_heads", "kv_num_heads", "scale"}
    parts = [product for name in node.input[:3] if (product := seen.biased(name))]
    if not heads or {a.name for a in node.attribute} - allowed or len(parts) != 3:
        return None
    qkv = _joined(parts)
    size = parts[0].weights.shape[1] // heads
    if qkv is None or (scale is not None and abs(scale * size**0.5 - 1) > 1e-5):
        return None
    if len(node.input) != 4 or int_attribute(node, "kv_num_heads") != heads:
        return None
    positions = []
    padding = 0
    for term in _terms(seen, node.input[3]):
        # Of all layers it is computed once: that may take the embeddings of the whole vocabulary.
        if term not in seen.kinds:
            seen.kinds[term] = _kind(model, term, heads)
        kind = seen.kinds[term]
        padding += kind == MASK
        positions += [term] if kind == "positions" else []
        if not kind:
            return None
    if padding != 1 or len(positions) > 1:
        return None
    return Attention(qkv=qkv, heads=heads, positions="".join(positions))


def _joined(parts: Sequence[Product]) -> Product | None:
    """Return three products of one input as one, smoothed by the geometric mean of their factors."""
    if len({part.input for part in parts}) > 1 or len({part.weights.shape for part in parts}) > 1:
        return None
    factors = np.stack([part.smooth for part in parts])
    smooth = np.exp(np.log(factors).mean(axis=0)).astype(np.float32)
    weights = [part.weights * (part.smooth / smooth)[:, None] for part in parts]
    return Product(
        input=parts[0].input,
        weights=np.concatenate(weights, axis=1),
        bias=np.concatenate([part.bias for part in parts]),
        smooth=smooth,
    )


def _terms(seen: Seen, name: str) -> Iterator[str]:
    """Yield the tensors whose sum a mask is, before they are repeated for each text or query."""
    node = seen.producers.get(name)
    if node is not None and node.op_type == "Expand":
        yield from _terms(seen, node.input[0])
    elif node is not None and node.op_type == "Add":
        for each in node.input:
            yield from _terms(seen, each)
    else:
        yield name


def _kind(model: Any, name: str, heads: int) -> str:
    """Return what a part of a mask is: that of padding, "positions" that are the same for all texts, or neither, ""."""
    for tokens in LENGTHS:
        masks = _masks(tokens)
        try:
            found = _computed(model, name, masks)
            other = _computed(model, name, np.ones_like(masks))
        except Exception:  # ONNX Runtime documents no common type for what it raises
            continue
        return _kind_of(found, other, masks, heads)
    return ""


def _masks(tokens: int) -> NDArray[Any]:
    """Return the masks of a text with padding behind, of one with a hole, and of one without padding."""
    masks = np.ones((3, tokens), int)
    masks[0, tokens * 3 // 5 :] = 0
    masks[1, 1] = 0
    return masks


def _kind_of(found: NDArray[Any], other: NDArray[Any], masks: NDArray[Any], heads: int) -> str:
    """Return the kind of what was computed of those masks, and of as many texts without padding."""
    texts, tokens = masks.shape
    if found.shape == (1, heads, tokens, tokens):
        return "positions" if np.array_equal(found, other) else ""
    if found.shape not in ((texts, 1, 1, tokens), (texts, 1, tokens, tokens)):
        return ""
    # What padding attends to does not count.
    rows = np.broadcast_to(found, (texts, 1, tokens, tokens))[:, 0][masks == 1]
    kept = np.repeat(masks, masks.sum(axis=1), axis=0) == 1
    return MASK if not rows[kept].any() and (rows[~kept] <= FAR).all() else ""


def _computed(model: Any, name: str, mask: NDArray[Any]) -> NDArray[Any]:
    """Compute one tensor of the graph for texts of that mask; their ids are those of the mask as well."""
    small = onnx.ModelProto()
    small.CopyFrom(onnx.ModelProto(ir_version=model.ir_version, opset_import=model.opset_import))
    graph = small.graph
    graph.name = "part"
    graph.input.extend(model.graph.input)
    graph.node.extend(_ancestors(model.graph, name))
    read = {each for node in graph.node for each in node.input} | {name}
    graph.initializer.extend(in_memory(t) for t in model.graph.initializer if t.name in read)
    graph.output.append(helper.make_empty_tensor_value_info(name))
    session = ort.InferenceSession(small.SerializeToString(), providers=["CPUExecutionProvider"])
    feeds = {given.name: mask.astype(np.int64) for given in model.graph.input}
    found: NDArray[Any] = session.run([name], feeds)[0]
    return found


def _ancestors(graph: Any, name: str) -> list[Any]:
    """Return the nodes that a tensor is made by, in the graph's order."""
    wanted, found = {name}, []
    for node in reversed(graph.node):
        if wanted & set(node.output):
            wanted |= set(node.input)
            found.append(node)
    return found[::-1]
