"""Shapes that an exporter computes at every run, although they hardly depend on what is asked: now said once.

A text is run alone, so that of most shapes one size at most is open. Which, a few runs with different sizes tell.
"""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import helper

from build.graph.edit import add_constant, prune
from build.graph.file import save
from functions.inference.session import open_session

# Tokens read, tokens in the cache, tokens that an encoder read. Sizes that differ never agree by chance.
RUNS = ((7, 0, 5), (1, 3, 11), (1, 13, 2), (5, 17, 19))


def fold_constant_shapes(model: Any, place: Path) -> None:
    """Make constants of what a decoder computes from shapes alone, where it is the same in all runs.

    A Reshape or Expand gets its shape as a constant even where one size differs. `place` is a file for the model with
    more outputs.
    """
    graph = model.graph
    known = {tensor.name for tensor in graph.initializer}
    shaping = [
        node
        for node in graph.node
        if node.op_type in ("Reshape", "Expand") and not known & set(node.input)
    ]
    derived = _derived(graph, known)
    names = {name for node in shaping for name in (node.input[0], node.output[0])}
    found = _observe(model, sorted(names | set(derived)), place)
    for node in shaping:
        wanted, given = (
            [each.shape for each in found[name]] for name in (node.output[0], node.input[0])
        )
        shape = _reshape(wanted) if node.op_type == "Reshape" else _expand(wanted, given)
        if shape is not None:
            node.input[1] = add_constant(
                graph, f"{node.output[0]}_settled_shape", np.array(shape, np.int64)
            )
    for name in derived:
        first, *others = found[name]
        if all(np.array_equal(first, other) for other in others):
            _settle(graph, add_constant(graph, f"{name}_settled", np.asarray(first)), name)
    prune(graph)


def _derived(graph: Any, known: set[str]) -> list[str]:
    """Return the tensors computed from shapes and constants alone, in the graph's order.

    In a set they would come in the order of their hashes, which differ from process to process, and so would the bytes
    of the graph.
    """
    derived: list[str] = []
    settled = set(known)
    for node in graph.node:
        if node.op_type == "Constant":
            settled |= set(node.output)
        elif node.op_type == "Shape" or (
            node.input and set(node.input) <= settled.union(derived, {""})
        ):
            derived += node.output
    return derived


def _settle(graph: Any, constant: str, name: str) -> None:
    for node in graph.node:
        for i, read in enumerate(node.input):
            if read == name:
                node.input[i] = constant


Shapes = list[tuple[int, ...]]


def _reshape(wanted: Shapes) -> list[int] | None:
    """The sizes that never change, and -1 for the one that does."""
    sizes = [set(column) for column in zip(*wanted, strict=True)]
    shape = [size.pop() if len(size) == 1 else -1 for size in sizes]
    return shape if shape.count(-1) <= 1 else None


def _expand(wanted: Shapes, given: Shapes) -> list[int] | None:
    """The sizes that never change, and 1, which leaves a size as it is."""
    if len(wanted[0]) != len(given[0]):
        return None
    shape = []
    for goals, sizes in zip(zip(*wanted, strict=True), zip(*given, strict=True), strict=True):
        if goals != sizes and len(set(goals)) > 1:
            return None
        shape.append(1 if goals == sizes else goals[0])
    return shape


def _observe(model: Any, names: list[str], place: Path) -> dict[str, list[Any]]:
    """Those tensors, run by run."""
    outputs = model.graph.output
    own = len(outputs)
    present = {output.name for output in outputs}
    outputs.extend(onnx.ValueInfoProto(name=name) for name in names if name not in present)
    try:
        save(model, place)
    finally:
        del outputs[own:]
    session = open_session(place, threads=1, device="cpu")
    runs = [session.run(names, _zeros(model.graph, *sizes)) for sizes in RUNS]
    return {name: [run[i] for run in runs] for i, name in enumerate(names)}


def _zeros(graph: Any, read: int, past: int, encoded: int) -> dict[str, Any]:
    sizes = {
        "batch_size": 1,
        "sequence_length": read,
        "decoder_sequence_length": read,
        "past_sequence_length": past,
        "past_decoder_sequence_length": past,
        "past_sequence_length + sequence_length": past + read,
        "encoder_sequence_length": encoded,
    }
    feeds = {}
    for value in graph.input:
        kind = value.type.tensor_type
        shape = [dim.dim_value or sizes[dim.dim_param] for dim in kind.shape.dim]
        feeds[value.name] = np.zeros(shape, helper.tensor_dtype_to_np_dtype(kind.elem_type))
    return feeds
