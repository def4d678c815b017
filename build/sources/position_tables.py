"""The position tables of an ONNX graph, whose rows limit the tokens it reads (see `build.sources.token_limit`).

An encoder looks its positions up in a constant table [rows, width]. A text of n tokens needs the rows up to n + offset:
-1 is the offset of most models, 1 that of RoBERTa, whose positions begin behind that of the padding. No weight takes
part in computing positions, so they are computed here for short texts, by operators that do nothing but that.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from onnx.external_data_helper import load_external_data_for_tensor

from build.graph.edit import constants, every_constant, producers
from build.sources.token_ids import lookups

# Two lengths tell an index that grows with the text from one that does not.
SHORT, LONG = 8, 16
# Positions take some twenty operators; a graph that computes more of them computes something else.
MAX_NODES = 64
# A file may claim arrays of any size. No more numbers than these are computed.
MAX_NUMBERS = 1 << 22
# https://github.com/microsoft/onnxruntime/blob/main/docs/ContribOperators.md#com.microsoft.EmbedLayerNormalization
FUSED, FUSED_TABLE, FUSED_POSITIONS = "EmbedLayerNormalization", 3, 8
ELEMENTWISE = {
    "Add", "And", "Div", "Equal", "Greater", "GreaterOrEqual", "Less", "LessOrEqual", "Max", "Min", "Mul", "Neg",
    "Not", "Or", "Sub", "Where",
}  # fmt: skip
OPERATORS = ELEMENTWISE | {
    "Cast", "Concat", "Constant", "ConstantOfShape", "CumSum", "Expand", "Flatten", "Gather", "Identity", "NonZero",
    "Range", "Reshape", "Shape", "Size", "Slice", "Squeeze", "Transpose", "Unsqueeze",
}  # fmt: skip
Integers = NDArray[np.int64]


class _Unknown(Exception):
    """An index cannot be computed from the inputs of the graph alone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Positions:
    """The graph of `model`; `inputs` are our names of its inputs, `token` is an id that is not the padding's."""

    model: Any
    folder: Path
    inputs: Mapping[str, str]
    token: int

    def indices(self, name: str, length: int) -> Integers:
        """Return the indices of that name for one text of `length` tokens; raise _Unknown."""
        from onnx.reference import ReferenceEvaluator

        opsets = {entry.domain: entry.version for entry in self.model.opset_import}
        nodes, constant = self._makers(name)
        values = {**self._feeds(length), **constant}
        try:
            for node in nodes:
                read = {n: values[n] for n in node.input if n}
                if _size_bound(node, list(read.values())) > MAX_NUMBERS:
                    raise _Unknown
                made = ReferenceEvaluator(node, opsets=opsets).run(None, read)
                values.update(zip(node.output, made, strict=True))
            return np.asarray(values[name], np.int64)
        except Exception as error:  # numpy raises anything for operators that do not fit together
            raise _Unknown from error

    def _makers(self, name: str) -> tuple[list[Any], dict[str, Any]]:
        """Return the nodes that compute a tensor, in their order, and the constants that these read."""
        graph = self.model.graph
        makers = producers(graph)
        known = dict(every_constant(graph))
        read, computed, waiting = {}, set[str](), [name]
        while waiting:
            one = waiting.pop()
            if one in known:
                read[one] = self._array(known[one])
            elif one in makers and one not in computed:
                computed.add(one)
                waiting += [n for n in makers[one].input if n]
                if len(computed) > MAX_NODES or makers[one].op_type not in OPERATORS:
                    raise _Unknown
        return [node for node in graph.node if computed & set(node.output)], read

    def _array(self, tensor: Any) -> Any:
        if math.prod(tensor.dims) > MAX_NUMBERS:
            raise _Unknown
        if tensor.data_location == TensorProto.EXTERNAL:
            copy = TensorProto()
            copy.CopyFrom(tensor)
            load_external_data_for_tensor(copy, str(self.folder))
            tensor = copy
        return numpy_helper.to_array(tensor)

    def _feeds(self, length: int) -> dict[str, Any]:
        fills = {
            "input_ids": np.full((1, length), self.token),
            "attention_mask": np.ones((1, length)),
            "token_type_ids": np.zeros((1, length)),
            "position_ids": np.arange(length)[None],
        }
        return {
            node.name: fills[self.inputs[node.name]].astype(
                helper.tensor_dtype_to_np_dtype(node.type.tensor_type.elem_type)
            )
            for node in self.model.graph.input
        }


def position_limit(model: Any, folder: Path, inputs: Mapping[str, str], padding: int) -> int | None:
    """Return how many tokens the model's position tables have rows for; None where it shows none.

    `inputs` has our name of each input. The padding's token has no position of its own in RoBERTa, so texts of another
    token are tried.
    """
    token = 0 if padding else 1
    positions = _Positions(model=model, folder=folder, inputs=inputs, token=token)
    return min(_limits(positions), default=None)


def _limits(positions: _Positions) -> Iterator[int]:
    yield from _fused_limits(positions.model.graph)
    for name, rows in lookups(positions.model.graph):
        try:
            if (limit := _limit(positions, name, rows)) is not None:
                yield limit
        except _Unknown:
            continue


def _fused_limits(graph: Any) -> Iterator[int]:
    """Yield the rows of tables that ONNX Runtime's fused embedding reads from the first row on."""
    tables = constants(graph)
    for node in graph.node:
        if node.op_type == FUSED and len(node.input) <= FUSED_POSITIONS:
            yield tables[node.input[FUSED_TABLE]].dims[0]


def _limit(positions: _Positions, name: str, rows: int) -> int | None:
    """Return the longest text whose indices are below `rows`; None where the indices are not positions."""
    short, long = (int(positions.indices(name, n).max()) for n in (SHORT, LONG))
    if long - short != LONG - SHORT or rows > MAX_NUMBERS:
        return None
    limit = rows - 1 - (short - SHORT)
    # Exporters often keep the positions as a constant and take as many as there are tokens: it may be shorter.
    limit = min(limit, positions.indices(name, limit).shape[-1])
    past = positions.indices(name, limit + 1)
    bounded = int(past.max()) >= rows or past.shape[-1] <= limit
    # Indices that stop growing, such as clipped distances between tokens, bound nothing.
    return limit if bounded else None


def _size_bound(node: Any, inputs: Sequence[Any]) -> int:
    """Return as many numbers as the node may make, or more."""
    if node.op_type == "Range":
        start, stop, step = (float(np.asarray(x).item()) for x in inputs)
        return math.ceil(abs((stop - start) / step))
    if node.op_type in ("Expand", "ConstantOfShape"):
        return math.prod(map(int, inputs[-1])) * math.prod(int(x.size) for x in inputs[:-1])
    if node.op_type in ELEMENTWISE:
        return math.prod(np.broadcast_shapes(*(x.shape for x in inputs)))
    if node.op_type == "Gather":
        return math.prod(int(x.size) for x in inputs)
    return sum(int(x.size) * max(int(x.ndim), 1) for x in inputs)
