"""What the changes of a graph share: its constants, its products, and what its tensors hold on the user's rows."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from build.graph.file import beside_of, save
from functions.inference.session import open_session
from functions.inference.tokens import Feeds

# The oldest operator set that has all the operators the optimiser looks for.
OPSET = 18


LOGITS, HIDDEN = "logits", "encoder_hidden_states"


Floats = NDArray[np.float32]
PRODUCTS = ("MatMul", "Attention")


def constants(graph: Any) -> dict[str, Any]:
    """The graph's initializers by name."""
    return {tensor.name: tensor for tensor in graph.initializer}


def add_constant(graph: Any, name: str, array: NDArray[Any]) -> str:
    graph.initializer.append(numpy_helper.from_array(array, name))
    return name


def replace_node(graph: Any, old: Any, new: Sequence[Any]) -> None:
    """Put the new nodes in the place of the old one."""
    place = list(graph.node).index(old)
    graph.node.remove(old)
    for offset, node in enumerate(new):
        graph.node.insert(place + offset, node)


def matmuls(graph: Any, operators: Sequence[str] = PRODUCTS) -> list[Any]:
    """The nodes of those operators whose second input is a constant matrix."""
    matrices = {tensor.name for tensor in graph.initializer if len(tensor.dims) == 2}
    return [n for n in graph.node if n.op_type in operators and n.input[1] in matrices]


def int_attribute(node: Any, name: str, default: int = 0) -> int:
    """A node's attribute that is a whole number."""
    return next((int(a.i) for a in node.attribute if a.name == name), default)


def every_node(graph: Any) -> Iterator[Any]:
    """The nodes of a graph and of those within it, such as the bodies of loops."""
    for node in graph.node:
        yield node
        for attribute in node.attribute:
            yield from every_node(attribute.g)


def every_constant(graph: Any) -> Iterator[tuple[str, Any]]:
    """All constants by name: initializers, and those within nodes and within the graphs of `If` and `Loop`."""
    yield from ((tensor.name, tensor) for tensor in graph.initializer)
    for node in graph.node:
        for attribute in node.attribute:
            own = [attribute.t] if attribute.HasField("t") else []
            name = next(iter(node.output), "")
            yield from ((name, tensor) for tensor in (*own, *attribute.tensors))
            for inner in ([attribute.g] if attribute.HasField("g") else []) + list(
                attribute.graphs
            ):
                yield from every_constant(inner)


def _reads(node: Any) -> set[str]:
    """The names a node reads, those that graphs within it read from outside among them."""
    within = [a.g for a in node.attribute if a.HasField("g")]
    return {*node.input, *(name for g in within for inner in g.node for name in _reads(inner))}


def drop_unread(graph: Any) -> None:
    """Remove the nodes that nothing reads any more."""
    kept = {output.name for output in graph.output}
    for place in range(len(graph.node) - 1, -1, -1):  # a node stands behind what it reads
        node = graph.node[place]
        if kept.isdisjoint(node.output):
            del graph.node[place]
        else:
            kept |= _reads(node)


def drop_unused(graph: Any) -> None:
    """Remove the constants that no node reads any more."""
    read = {name for node in graph.node for name in _reads(node)}
    read |= {output.name for output in graph.output}
    kept = [tensor for tensor in graph.initializer if tensor.name in read]
    del graph.initializer[:]
    graph.initializer.extend(kept)


def prune(graph: Any) -> None:
    """Remove the nodes whose answers nobody reads, and then such constants."""
    drop_unread(graph)
    drop_unused(graph)


def part_of(model: Any, names: Iterable[str]) -> Any:
    """A model of its own of what makes the named tensors, with the constants that this reads."""
    outputs = [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in names]
    graph = helper.make_graph(model.graph.node, "part", model.graph.input, outputs)
    drop_unread(graph)
    read = {name for node in graph.node for name in _reads(node)}
    graph.initializer.extend(t for t in model.graph.initializer if t.name in read)
    return helper.make_model(graph, opset_imports=model.opset_import, ir_version=model.ir_version)


def observe(
    model: Any,
    names: Sequence[str],
    feeds: Iterable[Feeds],
    place: Path,
    see: Callable[[str, Floats], None],
) -> None:
    """Run the model on each of the feeds and show what the named tensors hold, as [tokens, channels].

    `place` is a file for the model with more outputs; it is gone afterwards.
    """
    if not names:  # a session that is asked for nothing answers everything
        return
    with with_observed_outputs(model, names, place) as look:
        for feed in feeds:
            for name, value in zip(names, look(feed), strict=True):
                see(name, value.reshape(-1, value.shape[-1]))


@contextmanager
def with_observed_outputs(
    model: Any, names: Sequence[str], place: Path
) -> Iterator[Callable[[Mapping[str, Any]], list[Floats]]]:
    """A function that runs the model on a feed and gives what the named tensors hold, until the block ends."""
    outputs = model.graph.output
    own = len(outputs)
    known = {output.name for output in outputs}
    extra = [name for name in names if name not in known]
    outputs.extend(helper.make_tensor_value_info(n, TensorProto.FLOAT, None) for n in extra)
    try:
        save(model, place)
        session = open_session(place, threads=1, device="cpu")
        wanted = [node.name for node in session.get_inputs()]
        yield lambda feed: session.run(list(names), {name: feed[name] for name in wanted})
    finally:
        del outputs[own:]
        place.unlink(missing_ok=True)
        beside_of(place).unlink(missing_ok=True)
