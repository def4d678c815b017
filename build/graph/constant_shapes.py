"""Constant folding of shapes: what a decoder computes from shapes at every run, replaced by constants where it can be.

An exporter leaves chains of Shape, Gather and Concat nodes before each Reshape and Expand. A text is run alone, so of
most of these shapes one axis at most varies; where several beams of it run together, most of the others are as they
were before. Which ones is observed in a few runs whose sizes all differ.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from onnx import helper

from build.graph.edit import add_constant, prune
from build.graph.observe import with_observed_outputs

# Sizes of the runs: tokens read, tokens in the cache, tokens of the encoder. None of them agree by chance.
RUNS = ((7, 0, 5), (1, 3, 11), (1, 13, 2), (5, 17, 19))
# The rows of these runs for a model that runs several beams at once.
ROWS = (1, 6, 4, 9)
# A part of the names of the keys and values of cross-attention.
CROSS = ".encoder."
Shapes = list[tuple[int, ...]]


def fold_constant_shapes(model: Any, scratch: Path, *, beams: bool = False) -> None:
    """Fold what a decoder computes from shapes alone and what is the same in all runs, in place.

    A Reshape or Expand gets a constant shape even if one axis varies. With `beams`, the number of rows varies as well.
    `scratch` is the path of a temporary file.
    """
    graph = model.graph
    initializers = {tensor.name for tensor in graph.initializer}
    shaping = [
        node
        for node in graph.node
        if node.op_type in ("Reshape", "Expand") and not initializers & set(node.input)
    ]
    derived = _derived_from_shapes(graph, initializers)
    names = {name for node in shaping for name in (node.input[0], node.output[0])}
    rows = ROWS if beams else (1,) * len(RUNS)
    observed = _observe_runs(model, sorted(names.union(derived)), scratch, rows)
    for node in shaping:
        _set_target(graph, node, observed)
    for name in derived:
        first, *others = observed[name]
        if all(np.array_equal(first, other) for other in others):
            _rename_input(graph, name, add_constant(graph, f"{name}_settled", np.asarray(first)))
    prune(graph)


def _derived_from_shapes(graph: Any, initializers: set[str]) -> list[str]:
    """Return the tensors that are computed from shapes and constants alone, in the graph's order.

    A set would return them in the order of their hashes, which differ from process to process, and so would the bytes
    of the graph.
    """
    derived: list[str] = []
    constant = {*initializers, ""}  # an optional input that is left out has an empty name
    for node in graph.node:
        if node.op_type == "Constant":
            constant |= set(node.output)
        elif node.op_type == "Shape" or (node.input and set(node.input) <= constant.union(derived)):
            derived += node.output
    return derived


def _rename_input(graph: Any, old: str, new: str) -> None:
    for node in graph.node:
        for i, name in enumerate(node.input):
            if name == old:
                node.input[i] = new


def _set_target(graph: Any, node: Any, observed: dict[str, list[Any]]) -> None:
    """Make the second input of a Reshape or Expand a constant, unless its target shape varies too much."""
    outputs, inputs = (
        [value.shape for value in observed[name]] for name in (node.output[0], node.input[0])
    )
    if node.op_type == "Reshape":
        shape = _reshape_target(outputs, inputs)
    else:
        shape = _expand_target(outputs, inputs)
    if shape is not None:
        name = f"{node.output[0]}_settled_shape"
        node.input[1] = add_constant(graph, name, np.array(shape, np.int64))


def _reshape_target(outputs: Shapes, inputs: Shapes) -> list[int] | None:
    """Return the shape for a Reshape, with -1 for an axis that varies; None if more than one does.

    Of several that vary, those stand as 0 that are as they were before.
    """
    axes = list(zip(*outputs, strict=True))
    shape = [axis[0] if len(set(axis)) == 1 else -1 for axis in axes]
    before = list(zip(*inputs, strict=True))
    for place, axis in enumerate(axes):
        if shape.count(-1) > 1 and shape[place] == -1 and axis in before[place : place + 1]:
            shape[place] = 0
    return shape if shape.count(-1) <= 1 else None


def _expand_target(outputs: Shapes, inputs: Shapes) -> list[int] | None:
    """Return the shape for an Expand, with 1 where the input's size stays; None if an expanded size varies."""
    if len(outputs[0]) != len(inputs[0]):
        return None
    shape = []
    for wide, narrow in zip(zip(*outputs, strict=True), zip(*inputs, strict=True), strict=True):
        if wide != narrow and len(set(wide)) > 1:
            return None
        shape.append(1 if wide == narrow else wide[0])
    return shape


def _observe_runs(
    model: Any, names: list[str], scratch: Path, rows: Sequence[int]
) -> dict[str, list[Any]]:
    """Return the values of the named tensors, run by run."""
    with with_observed_outputs(model, names, scratch) as run:
        runs = [
            run(_zeros(model.graph, *sizes, count)) for sizes, count in zip(RUNS, rows, strict=True)
        ]
    return {name: [values[i] for values in runs] for i, name in enumerate(names)}


def _zeros(graph: Any, tokens: int, past: int, encoded: int, rows: int) -> dict[str, Any]:
    """Return a feed of zeros; the names of the axes are optimum's."""
    sizes = {
        "batch_size": rows,
        "sequence_length": tokens,
        "decoder_sequence_length": tokens,
        "past_sequence_length": past,
        "past_decoder_sequence_length": past,
        "past_sequence_length + sequence_length": past + tokens,
        "encoder_sequence_length": encoded,
    }
    feed = {}
    for value in graph.input:
        kind = value.type.tensor_type
        shape = [dim.dim_value or sizes[dim.dim_param] for dim in kind.shape.dim]
        if CROSS in value.name:
            shape[0] = 1  # of the text, which all rows share
        feed[value.name] = np.zeros(shape, helper.tensor_dtype_to_np_dtype(kind.elem_type))
    return feed
