"""Attention over a cache that stays where it is: ONNX Runtime's GroupQueryAttention in the place of exported operators.

An exported decoder copies the whole cache at every token, to put one key and one value behind it. The fused operator
writes them into memory that is there already, turns queries and keys by their positions itself, and reads no mask: it
is told how many tokens there are. https://github.com/microsoft/onnxruntime/blob/main/docs/ContribOperators.md
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

from build.graph.edit import add_constant, part_of, prune
from functions.inference.decoder import LAST_INDEX, PAST, PRESENT, TOTAL, Decoder

Tables = Mapping[str, NDArray[np.float32]]
# What stands between a cache and the product that reads it, and what scales a query.
BETWEEN = ("Unsqueeze", "Expand", "Reshape", "Transpose", "Mul", "Div")
SCALING = ("Mul", "Div")
# What makes a tensor in which the heads lie beside each other.
PROJECTIONS = ("MatMul", "Add", "Split", "Slice")
# The operator turns vectors of whole multiples of so many numbers.
ROTARY_MULTIPLE = 16
# Positions that tables are made for at most: half a GB where a head has 128 numbers.
MOST_CONTEXT = 1 << 18
# How far logits may be from those before, as a share of the largest: the order of sums is another one.
NEAR = 2e-4
# Tokens read one after the other, to see whether a graph still answers as it did.
READS = ((5, 3, 8, 1, 9, 2, 7), (4,), (6,), (2, 2, 3), (1,))


class Unmatched(Exception):
    """The attention of this graph is not of the form that is known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Layer:
    """Tensors of one layer, their heads beside each other or apart, and what turns them, where they are turned."""

    number: int
    query: str
    key: str
    value: str
    cosine: str
    sine: str
    answer: Any
    heads: int
    key_heads: int
    size: int


@dataclass(frozen=True, slots=True)
class _Links:
    """Who makes a tensor, and who reads it."""

    graph: Any
    makers: dict[str, Any]
    readers: dict[str, list[Any]]

    @classmethod
    def of(cls, graph: Any) -> "_Links":
        readers: dict[str, list[Any]] = {}
        for node in graph.node:
            for name in node.input:
                readers.setdefault(name, []).append(node)
        return cls(graph, {name: node for node in graph.node for name in node.output}, readers)

    def maker(self, name: str, *kinds: str) -> Any:
        """The node that makes a tensor, which has to be of those kinds."""
        node = self.makers.get(name)
        if node is None or node.op_type not in kinds:
            raise Unmatched(f"{name} comes from {node.op_type if node else 'outside'}")
        return node

    def reading(self, name: str) -> Any:
        """The product at which what is made of a tensor arrives."""
        for node in self.readers.get(name, ()):
            if node.op_type == "MatMul":
                return node
            if node.op_type in BETWEEN and (found := self.reading(node.output[0])):
                return found
        return None

    def constant(self, name: str) -> bool:
        made = self.makers.get(name)
        return made is None or made.op_type == "Constant"


def tables_of(model: Any, context: int) -> dict[str, NDArray[np.float32]]:
    """Cosines and sines [context, size / 2] by the names of what turns queries and keys; raises Unmatched."""
    names = sorted({n for layer in _layers(model.graph) for n in (layer.cosine, layer.sine) if n})
    if not names:
        return {}
    if context > MOST_CONTEXT:
        raise Unmatched(f"tables of {context} positions would take more memory than they save time")
    part = part_of(model, names)
    positions = np.arange(context, dtype=np.int64)[None]
    if [value.name for value in _read_inputs(part.graph)] != ["position_ids"]:
        raise Unmatched("vectors are turned by more than their positions")
    _keep_inputs(part.graph)
    session = ort.InferenceSession(part.SerializeToString(), providers=["CPUExecutionProvider"])
    found = session.run(names, {"position_ids": positions})
    return {name: _half(array) for name, array in zip(names, found, strict=True)}


def _half(turning: NDArray[np.float32]) -> NDArray[np.float32]:
    rows = turning.reshape(-1, turning.shape[-1])
    first, second = np.split(rows, 2, axis=1)
    if not np.array_equal(first, second):
        raise Unmatched("the halves of a vector are turned by different angles")
    return np.ascontiguousarray(first)


def in_place(graph: Any, tables: Tables) -> None:
    """Have every layer's attention computed by the fused operator, in place; raises Unmatched."""
    for name, kind in ((LAST_INDEX, [1]), (TOTAL, [])):
        graph.input.append(helper.make_tensor_value_info(name, TensorProto.INT32, kind))
    names = {name: add_constant(graph, f"{name}_table", table) for name, table in tables.items()}
    layers = _layers(graph)
    for layer in layers:
        _fuse(graph, layer, names)
    caches = {f"{PAST}{layer.number}.{kind}" for layer in layers for kind in ("key", "value")}
    for value in (*graph.input, *graph.output):
        if value.name.replace(PRESENT, PAST, 1) in caches:
            value.type.tensor_type.shape.dim[2].dim_param = "capacity"
    prune(graph)
    _keep_inputs(graph)


def _fuse(graph: Any, layer: _Layer, tables: Mapping[str, str]) -> None:
    at = layer.number
    presents = [f"{PRESENT}{at}.{kind}" for kind in ("key", "value")]
    links = _Links.of(graph)
    for name in presents:
        graph.node.remove(links.makers[name])
    read = [_together(graph, links, name) for name in (layer.query, layer.key, layer.value)]
    node = helper.make_node(
        "GroupQueryAttention",
        [*read, f"{PAST}{at}.key", f"{PAST}{at}.value", LAST_INDEX, TOTAL]
        + ([tables[layer.cosine], tables[layer.sine]] if layer.cosine else []),
        [layer.answer.output[0], *presents],
        name=f"attention.{at}",
        domain="com.microsoft",
        num_heads=layer.heads,
        kv_num_heads=layer.key_heads,
        do_rotary=int(bool(layer.cosine)),
    )
    place = list(graph.node).index(layer.answer)
    graph.node.remove(layer.answer)
    graph.node.insert(place, node)


def _together(graph: Any, links: _Links, name: str) -> str:
    """The tensor with its heads beside each other."""
    if _kind(links, name) in PROJECTIONS:
        return name
    shape = f"{name}_beside"
    add_constant(graph, shape, np.array([0, 0, -1], np.int64))
    place = list(graph.node).index(links.makers[name]) + 1
    graph.node.insert(place, helper.make_node("Reshape", [name, shape], [f"{name}_flat"]))
    return f"{name}_flat"


def _layers(graph: Any) -> list[_Layer]:
    links = _Links.of(graph)
    caches = {value.name: value.type.tensor_type.shape.dim for value in graph.input}
    numbers = sorted(int(name.split(".")[1]) for name in caches if name.endswith(".key"))
    return [_layer(links, n, caches[f"{PAST}{n}.key"]) for n in numbers]


def _layer(links: _Links, number: int, dims: Any) -> _Layer:
    keys = links.maker(f"{PRESENT}{number}.key", "Concat")
    values = links.maker(f"{PRESENT}{number}.value", "Concat")
    scores, mixed = (links.reading(node.output[0]) for node in (keys, values))
    if scores is None or mixed is None:
        raise Unmatched(f"no product reads the cache of layer {number}")
    query = scores.input[0]
    while (node := links.makers[query]).op_type in SCALING and links.constant(node.input[1]):
        query = node.input[0]
    turned, turned_key = _rotary(links, query), _rotary(links, keys.input[1])
    if (turned[1:]) != turned_key[1:]:
        raise Unmatched("queries are turned otherwise than keys")
    size = dims[3].dim_value
    answer = _only(links, _only(links, mixed, "Transpose"), "Reshape")
    flat = [_flat(links, name) for name in (turned[0], turned_key[0], values.input[1])]
    heads = _width(links, answer) // size
    if turned[1] and size % ROTARY_MULTIPLE:
        raise Unmatched(f"{size} numbers a head are no multiple of {ROTARY_MULTIPLE}")
    return _Layer(
        number=number,
        query=flat[0],
        key=flat[1],
        value=flat[2],
        cosine=turned[1],
        sine=turned[2],
        answer=answer,
        heads=heads,
        key_heads=dims[1].dim_value,
        size=size,
    )


def _only(links: _Links, node: Any, kind: str) -> Any:
    """The one reader of what a node makes, of that kind."""
    readers = links.readers.get(node.output[0], [])
    if len(readers) != 1 or readers[0].op_type != kind:
        raise Unmatched(f"{node.output[0]} is not read by {kind} alone")
    return readers[0]


def _rotary(links: _Links, name: str) -> tuple[str, str, str]:
    """What was turned, and by which cosines and sines: x * cos + (-second half, first half) * sin; or itself."""
    if links.makers[name].op_type != "Add":
        return name, "", ""
    plain, swapped = (links.maker(each, "Mul") for each in links.makers[name].input)
    crossed = next((n for n in swapped.input if _kind(links, n) == "Concat"), None)
    if crossed is None:
        raise Unmatched(f"{name} is a sum that turns nothing")
    first = links.maker(links.makers[crossed].input[0], "Neg").input[0]
    origin = links.maker(first, "Slice", "Split").input[0]
    if origin not in plain.input:
        raise Unmatched(f"{name} adds what is not its own")
    (cosine,) = set(plain.input) - {origin}
    (sine,) = set(swapped.input) - {crossed}
    return origin, _bare(links, cosine), _bare(links, sine)


def _kind(links: _Links, name: str) -> str:
    node = links.makers.get(name)
    return str(node.op_type) if node else ""


def _bare(links: _Links, name: str) -> str:
    """A tensor without the axes that were put into it, so that all layers name the same one."""
    node = links.makers.get(name)
    return str(node.input[0]) if node and node.op_type == "Unsqueeze" else name


def _flat(links: _Links, name: str) -> str:
    """[1, tokens, heads * size] of what was taken apart into heads, or what is still in heads, if that is no view."""
    apart = str(links.maker(name, "Transpose").input[0])
    made = links.makers[apart]
    if made.op_type == "Reshape" and _kind(links, made.input[0]) in PROJECTIONS:
        return str(made.input[0])
    return apart


def _width(links: _Links, answer: Any) -> int:
    shapes = {t.name: t for t in links.graph.initializer}
    if answer.input[1] not in shapes:
        raise Unmatched("the heads are put together in a shape that is not known")
    return int(onnx.numpy_helper.to_array(shapes[answer.input[1]])[-1])


def _read_inputs(graph: Any) -> list[Any]:
    read = {name for node in graph.node for name in node.input}
    return [value for value in graph.input if value.name in read]


def _keep_inputs(graph: Any) -> None:
    """Ask for nothing that is not read."""
    kept = _read_inputs(graph)
    del graph.input[:]
    graph.input.extend(kept)


def answers_alike(one: Path, other: Path) -> bool:
    """Whether two graphs of a decoder find the same logits, whatever is read at once."""
    before, after = (_logits(path) for path in (one, other))
    return bool(np.abs(before - after).max() <= NEAR * np.abs(before).max())


def _logits(path: Path) -> NDArray[np.float32]:
    decoder = Decoder.open(path, threads=1, device="cpu")
    cache, found = decoder.empty_cache({}), []
    for tokens in READS:
        logits, cache = decoder.run(tokens, cache)
        found.append(logits)
    return np.array(found)
