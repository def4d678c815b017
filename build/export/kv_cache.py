"""Attention with a KV cache as one operator: ONNX Runtime's GroupQueryAttention in place of exported ones.

An exported decoder copies the whole cache for every token. The fused operator writes into a buffer with room for more,
applies rotary position embeddings itself (Su et al. 2021, arXiv:2104.09864), shares keys among groups of query heads
(Ainslie et al. 2023, arXiv:2305.13245), and takes the number of tokens instead of a mask.
https://github.com/microsoft/onnxruntime/blob/main/docs/ContribOperators.md#com.microsoft.GroupQueryAttention
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
from numpy.typing import NDArray
from onnx import TensorProto, helper

from build.graph.edit import (
    CONTRIB,
    add_constant,
    constants,
    consumers,
    producers,
    prune,
    replace_node,
    subgraph_of,
)
from functions.inference.decoder import LAST_INDEX, PAST, PRESENT, TOTAL, Decoder

Tables = Mapping[str, NDArray[np.float32]]
POSITIONS = "position_ids"
# Operators between a cache and the MatMul that reads it, and those that scale a query.
BETWEEN = ("Unsqueeze", "Expand", "Reshape", "Transpose", "Mul", "Div")
SCALING = ("Mul", "Div")
# Operators whose output still is [batch, tokens, heads * head size].
PROJECTIONS = ("MatMul", "Add", "Split", "Slice")
# The operator wants head sizes that are a multiple of 8, with rotary embeddings of 16.
# https://github.com/microsoft/onnxruntime/blob/main/onnxruntime/contrib_ops/cpu/bert/group_query_attention_helper.h
MULTIPLE, ROTARY_MULTIPLE = 8, 16
# The largest rotary tables: half a GB for heads of 128 numbers.
MAX_CONTEXT = 1 << 18
# The largest difference of logits after fusion, as a share of the largest: the sums have another order.
TOLERANCE = 2e-4
# Tokens of consecutive runs: a prompt, single tokens, and several at once with a cache that is not empty.
RUNS = ((5, 3, 8, 1, 9, 2, 7), (4,), (6,), (2, 2, 3), (1,))


class Unmatched(Exception):
    """Attention of a form that is not known, so it is not fused."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Layer:
    """One layer's attention: the names of its tensors, before rotation, and the node that makes its output.

    `cosine` and `sine` are empty if positions are not rotary.
    """

    number: int
    query: str
    key: str
    value: str
    cosine: str
    sine: str
    output: Any
    heads: int
    key_heads: int


@dataclass(frozen=True, slots=True)
class _Graph:
    """A graph with the producer and the consumers of each tensor."""

    graph: Any
    producers: dict[str, Any]
    consumers: dict[str, list[Any]]

    @classmethod
    def of(cls, graph: Any) -> "_Graph":
        return cls(graph, producers(graph), consumers(graph))

    def producer(self, name: str, *operators: str) -> Any:
        """Return the node that makes a tensor; raise Unmatched unless it is one of those operators."""
        node = self.producers.get(name)
        if node is None or node.op_type not in operators:
            raise Unmatched(f"{name} comes from {node.op_type if node else 'outside'}")
        return node

    def operator(self, name: str) -> str:
        """Return the operator that makes a tensor; empty for inputs and initializers."""
        node = self.producers.get(name)
        return str(node.op_type) if node else ""

    def only_consumer(self, node: Any, operator: str) -> Any:
        """Return the one node that reads a node's output; raise Unmatched unless it is of that operator."""
        nodes = self.consumers.get(node.output[0], [])
        if len(nodes) != 1 or nodes[0].op_type != operator:
            raise Unmatched(f"{node.output[0]} is not read by {operator} alone")
        return nodes[0]

    def matmul_after(self, name: str) -> Any:
        """Return the MatMul that a tensor reaches through views and scaling; None if there is none."""
        for node in self.consumers.get(name, ()):
            if node.op_type == "MatMul":
                return node
            if node.op_type in BETWEEN and (found := self.matmul_after(node.output[0])):
                return found
        return None

    def is_constant(self, name: str) -> bool:
        return self.operator(name) in ("", "Constant")


def rotary_tables(model: Any, context: int) -> dict[str, NDArray[np.float32]]:
    """Return cosines and sines [context, head size / 2] by the names of the tensors; raise Unmatched.

    They are computed by the part of the graph that computes them, so any scaling of the frequencies is in them.
    """
    names = sorted({n for layer in _layers(model.graph) for n in (layer.cosine, layer.sine) if n})
    if not names:
        return {}
    if context > MAX_CONTEXT:
        raise Unmatched(f"tables of {context} positions would take more memory than they save time")
    part = subgraph_of(model, names)
    if [value.name for value in _read_inputs(part.graph)] != [POSITIONS]:
        raise Unmatched("the rotation depends on more than positions")
    _drop_unread_inputs(part.graph)
    session = ort.InferenceSession(part.SerializeToString(), providers=["CPUExecutionProvider"])
    tables = session.run(names, {POSITIONS: np.arange(context, dtype=np.int64)[None]})
    return {name: _half(table) for name, table in zip(names, tables, strict=True)}


def _half(table: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the first half of each row; raise Unmatched unless both halves of a vector rotate by the same angles."""
    rows = table.reshape(-1, table.shape[-1])
    first, second = np.split(rows, 2, axis=1)
    if not np.array_equal(first, second):
        raise Unmatched("the halves of a vector rotate by different angles")
    return np.ascontiguousarray(first)


def fuse_grouped_query_attention(graph: Any, tables: Tables) -> None:
    """Fuse every layer's attention with its cache, in place; raise Unmatched."""
    for name, shape in ((LAST_INDEX, ["batch_size"]), (TOTAL, [])):
        graph.input.append(helper.make_tensor_value_info(name, TensorProto.INT32, shape))
    names = {name: add_constant(graph, f"{name}_table", table) for name, table in tables.items()}
    layers = _layers(graph)
    for layer in layers:
        _fuse(graph, layer, names)
    caches = {f"{PAST}{layer.number}.{kind}" for layer in layers for kind in ("key", "value")}
    for value in (*graph.input, *graph.output):
        if value.name.replace(PRESENT, PAST, 1) in caches:
            # The buffer is longer than the text, and past and present are the same.
            value.type.tensor_type.shape.dim[2].dim_param = "capacity"
    prune(graph)
    _drop_unread_inputs(graph)


def _fuse(graph: Any, layer: _Layer, tables: Mapping[str, str]) -> None:
    number = layer.number
    presents = [f"{PRESENT}{number}.{kind}" for kind in ("key", "value")]
    seen = _Graph.of(graph)
    for name in presents:
        graph.node.remove(seen.producers[name])
    inputs = [_join_heads(seen, name) for name in (layer.query, layer.key, layer.value)]
    rotary = [tables[layer.cosine], tables[layer.sine]] if layer.cosine else []
    node = helper.make_node(
        "GroupQueryAttention",
        [*inputs, f"{PAST}{number}.key", f"{PAST}{number}.value", LAST_INDEX, TOTAL, *rotary],
        [layer.output.output[0], *presents],
        name=f"attention.{number}",
        domain=CONTRIB,
        num_heads=layer.heads,
        kv_num_heads=layer.key_heads,
        do_rotary=int(bool(rotary)),
    )
    replace_node(graph, layer.output, [node])


def _join_heads(seen: _Graph, name: str) -> str:
    """Return the tensor as [batch, tokens, heads * head size], with a Reshape added if its heads are apart."""
    if seen.operator(name) in PROJECTIONS:
        return name
    shape = add_constant(seen.graph, f"{name}_beside", np.array([0, 0, -1], np.int64))
    place = list(seen.graph.node).index(seen.producers[name]) + 1
    seen.graph.node.insert(place, helper.make_node("Reshape", [name, shape], [f"{name}_flat"]))
    return f"{name}_flat"


def _layers(graph: Any) -> list[_Layer]:
    seen = _Graph.of(graph)
    caches = {value.name: value.type.tensor_type.shape.dim for value in graph.input}
    numbers = sorted(int(name.split(".")[1]) for name in caches if name.endswith(".key"))
    return [_layer(seen, number, caches[f"{PAST}{number}.key"]) for number in numbers]


def _layer(seen: _Graph, number: int, cache: Any) -> _Layer:
    """Match one layer: softmax(Q K^T / scale) V, where K and V are appended to a cache of those axes."""
    keys = seen.producer(f"{PRESENT}{number}.key", "Concat")
    values = seen.producer(f"{PRESENT}{number}.value", "Concat")
    scores, weighted = (seen.matmul_after(node.output[0]) for node in (keys, values))
    if scores is None or weighted is None:
        raise Unmatched(f"no product reads the cache of layer {number}")
    query, cosine, sine = _rotary(seen, _unscaled(seen, scores.input[0]))
    key, *rotation = _rotary(seen, keys.input[1])
    if rotation != [cosine, sine]:
        raise Unmatched("queries and keys rotate by different angles")
    size, multiple = cache[3].dim_value, ROTARY_MULTIPLE if cosine else MULTIPLE
    if size % multiple:
        raise Unmatched(f"a head size of {size} is no multiple of {multiple}")
    output = seen.only_consumer(seen.only_consumer(weighted, "Transpose"), "Reshape")
    return _Layer(
        number=number,
        query=_before_split(seen, query),
        key=_before_split(seen, key),
        value=_before_split(seen, values.input[1]),
        cosine=cosine,
        sine=sine,
        output=output,
        heads=_width(seen, output) // size,
        key_heads=cache[1].dim_value,
    )


def _unscaled(seen: _Graph, query: str) -> str:
    """Return the query before it is scaled.

    The fused operator scales by 1 / sqrt(head size); a graph with another scale fails the test of `same_logits`.
    """
    while (node := seen.producers[query]).op_type in SCALING and seen.is_constant(node.input[1]):
        query = node.input[0]
    return query


def _rotary(seen: _Graph, name: str) -> tuple[str, str, str]:
    """Return the tensor before rotation, its cosines and its sines; the tensor itself if it is not rotated.

    Rotation is x * cos + concat(-second half, first half) * sin, as transformers' `apply_rotary_pos_emb` has it.
    """
    if seen.operator(name) != "Add":
        return name, "", ""
    plain, swapped = (seen.producer(each, "Mul") for each in seen.producers[name].input)
    halves = next((n for n in swapped.input if seen.operator(n) == "Concat"), None)
    if halves is None:
        raise Unmatched(f"{name} is a sum, but no rotation")
    second = seen.producer(seen.producers[halves].input[0], "Neg").input[0]
    origin = seen.producer(second, "Slice", "Split").input[0]
    if origin not in plain.input:
        raise Unmatched(f"{name} adds halves of another tensor")
    (cosine,) = set(plain.input) - {origin}
    (sine,) = set(swapped.input) - {halves}
    return origin, _without_unsqueeze(seen, cosine), _without_unsqueeze(seen, sine)


def _without_unsqueeze(seen: _Graph, name: str) -> str:
    """Return the tensor before an Unsqueeze, of which each layer has its own, so that all layers name the same one."""
    return str(seen.producers[name].input[0]) if seen.operator(name) == "Unsqueeze" else name


def _before_split(seen: _Graph, name: str) -> str:
    """Return [batch, tokens, heads * size] of a tensor that was split into heads; with heads apart if it is no view."""
    split = str(seen.producer(name, "Transpose").input[0])
    node = seen.producers[split]
    is_view = node.op_type == "Reshape" and seen.operator(node.input[0]) in PROJECTIONS
    return str(node.input[0]) if is_view else split


def _width(seen: _Graph, reshape: Any) -> int:
    shape = constants(seen.graph).get(reshape.input[1])
    if shape is None:
        raise Unmatched("the heads are joined in a shape that is not constant")
    return int(onnx.numpy_helper.to_array(shape)[-1])


def _read_inputs(graph: Any) -> list[Any]:
    read = {name for node in graph.node for name in node.input}
    return [value for value in graph.input if value.name in read]


def _drop_unread_inputs(graph: Any) -> None:
    read = _read_inputs(graph)
    del graph.input[:]
    graph.input.extend(read)


def same_logits(exported: Path, fused: Path) -> bool:
    """Return True if two graphs of a decoder compute the same logits, whatever the cache holds."""
    expected, actual = (_logits(path) for path in (exported, fused))
    return bool(np.abs(expected - actual).max() <= TOLERANCE * np.abs(expected).max())


def _logits(path: Path) -> NDArray[np.float32]:
    decoder = Decoder.open(path, threads=1, device="cpu")
    cache, found = decoder.empty_cache({}), []
    for tokens in RUNS:
        logits, cache = decoder.run(tokens, cache)
        found.append(logits)
    return np.array(found)
