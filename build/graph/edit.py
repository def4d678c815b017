"""Reading and changing ONNX graphs: their constants, their nodes, and what is left over after a change.

Names follow the ONNX specification (https://onnx.ai/onnx/repo-docs/IR.html), in which a graph's constants are its
initializers, and its nodes are sorted: a node stands behind those whose outputs it reads.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from build.graph.opset import IR_VERSION, OPSET
from build.graph.tensors import in_memory

# The domain of ONNX Runtime's own operators:
# https://github.com/microsoft/onnxruntime/blob/main/docs/ContribOperators.md
CONTRIB = "com.microsoft"
# Operators whose second input may be a constant matrix of weights; this Attention is ONNX Runtime's own.
MATMULS = ("MatMul", "Attention")
Floats = NDArray[np.float32]


def make_model(graph: Any, **fields: Any) -> Any:
    """Return a model of the graph, at our operator set and with ONNX Runtime's own operators."""
    opsets = [helper.make_opsetid("", OPSET), helper.make_opsetid(CONTRIB, 1)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=IR_VERSION, **fields)


def sign(model: Any, note: str = "") -> None:
    """Name this project as the model's producer, in place, and declare ONNX Runtime's own operators.

    What the exporter says of itself and of its run goes, so that the same source gives the same bytes.
    """
    if not any(entry.domain == CONTRIB for entry in model.opset_import):
        model.opset_import.append(helper.make_opsetid(CONTRIB, 1))
    del model.metadata_props[:]
    model.producer_name, model.producer_version, model.doc_string = "turnout", "", note


def constants(graph: Any) -> dict[str, Any]:
    """Return the graph's initializers by name."""
    return {tensor.name: tensor for tensor in graph.initializer}


def add_constant(graph: Any, name: str, array: NDArray[Any]) -> str:
    """Add an initializer and return its name."""
    graph.initializer.append(numpy_helper.from_array(array, name))
    return name


def producers(graph: Any) -> dict[str, Any]:
    """Return the node that makes each tensor, by the tensor's name."""
    return {output: node for node in graph.node for output in node.output}


def consumers(graph: Any) -> dict[str, list[Any]]:
    """Return the nodes that read each tensor, by the tensor's name."""
    found: dict[str, list[Any]] = {}
    for node in graph.node:
        for name in node.input:
            found.setdefault(name, []).append(node)
    return found


def insert_before(graph: Any, node: Any, new: Sequence[Any]) -> None:
    """Insert nodes before a node of the graph."""
    place = list(graph.node).index(node)
    for offset, each in enumerate(new):
        graph.node.insert(place + offset, each)


def replace_node(graph: Any, old: Any, new: Sequence[Any]) -> None:
    """Put nodes in the place of a node of the graph."""
    insert_before(graph, old, new)
    graph.node.remove(old)


def matmuls(graph: Any, operators: Sequence[str] = MATMULS) -> list[Any]:
    """Return the nodes of those operators whose second input is a constant matrix."""
    matrices = {tensor.name for tensor in graph.initializer if len(tensor.dims) == 2}
    return [n for n in graph.node if n.op_type in operators and n.input[1] in matrices]


def int_attribute(node: Any, name: str, default: int = 0) -> int:
    """Return a node's attribute that is an integer."""
    return next((int(a.i) for a in node.attribute if a.name == name), default)


def every_node(graph: Any) -> Iterator[Any]:
    """Yield the nodes of a graph and of its subgraphs, such as the bodies of loops."""
    for node in graph.node:
        yield node
        for attribute in node.attribute:
            yield from every_node(attribute.g)


def every_constant(graph: Any) -> Iterator[tuple[str, Any]]:
    """Yield all constants with their names: initializers, and those of `Constant` nodes, also in subgraphs."""
    yield from ((tensor.name, tensor) for tensor in graph.initializer)
    for node in graph.node:
        for attribute in node.attribute:
            own = [attribute.t] if attribute.HasField("t") else []
            name = next(iter(node.output), "")
            yield from ((name, tensor) for tensor in (*own, *attribute.tensors))
            subgraphs = [attribute.g] if attribute.HasField("g") else []
            for subgraph in (*subgraphs, *attribute.graphs):
                yield from every_constant(subgraph)


def _inputs(node: Any) -> set[str]:
    """Return the names that a node reads; its subgraphs may read names of the graph around it."""
    subgraphs = [a.g for a in node.attribute if a.HasField("g")]
    return {*node.input, *(name for g in subgraphs for inner in g.node for name in _inputs(inner))}


def remove_dead_nodes(graph: Any) -> None:
    """Remove the nodes whose outputs nothing reads, in place."""
    read = {output.name for output in graph.output}
    for place in range(
        len(graph.node) - 1, -1, -1
    ):  # backwards, as a node stands behind what it reads
        node = graph.node[place]
        if read.isdisjoint(node.output):
            del graph.node[place]
        else:
            read |= _inputs(node)


def remove_unused_constants(graph: Any) -> None:
    """Remove the initializers that nothing reads, in place."""
    read = {name for node in graph.node for name in _inputs(node)}
    read |= {output.name for output in graph.output}
    # One by one: to put those that are kept into the list again would copy them.
    for place in range(len(graph.initializer) - 1, -1, -1):
        if graph.initializer[place].name not in read:
            del graph.initializer[place]


def prune(graph: Any) -> None:
    """Remove dead nodes, and then unused initializers, in place."""
    remove_dead_nodes(graph)
    remove_unused_constants(graph)


def subgraph_of(model: Any, names: Iterable[str]) -> Any:
    """Return a model of the part of a graph that computes the named float tensors, with its constants."""
    outputs = [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in names]
    graph = helper.make_graph(model.graph.node, "part", model.graph.input, outputs)
    remove_dead_nodes(graph)
    read = {name for node in graph.node for name in _inputs(node)}
    graph.initializer.extend(in_memory(t) for t in model.graph.initializer if t.name in read)
    return helper.make_model(graph, opset_imports=model.opset_import, ir_version=model.ir_version)
