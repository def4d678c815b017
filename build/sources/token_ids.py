"""The check that a bare graph's embedding has a row for every token of its tokenizer.

Without it, the first text with a token beyond the last row would fail in production: rows under `eval` may have none.
"""

import operator
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from onnx import TensorProto, numpy_helper

from build.errors import SourceError
from build.graph.edit import every_constant, every_node, int_attribute
from build.sources.huggingface.tokenizer import TokenizerFile, read_tokenizer
from build.sources.source import GraphSource, TokenizedSource, Unusable
from contracts.problems import Code

# Operators that look rows up in a table, with the places of the indices and of the table among their inputs.
LOOKUPS = {"Gather": (1, 0), "GatherBlockQuantized": (1, 0), "EmbedLayerNormalization": (0, 2)}
# Operators that keep the values of ids, or the rows of a table.
SAME_IDS = {"Cast", "Identity", "Reshape", "Flatten", "Squeeze", "Unsqueeze", "Transpose"}
SAME_ROWS = {"Cast", "Identity", "DequantizeLinear"}
# Arithmetic on ids: Keras exports graphs that count negative ids from the end, though no tokenizer has any.
ARITHMETIC: Mapping[str, Callable[..., Any]] = {
    "Add": operator.add,
    "Sub": operator.sub,
    "Mul": operator.mul,
    "Less": operator.lt,
    "Not": operator.not_,
    "Where": lambda condition, one, other: one if condition else other,
}


def check_ids(graph: Any, name: str, tokenizer: TokenizerFile) -> None:
    """Raise Unusable where the tokenizer's last token has no row in a table that the input `name` is looked up in."""
    last = tokenizer.max_id
    try:
        ids = _values(graph, {name: last})
        short = [rows for index, rows in lookups(graph) if index in ids and ids[index] >= rows]
    except (IndexError, TypeError, ValueError) as error:
        raise Unusable(
            Code.FILE_DAMAGED,
            f"has a node or constant that is not whole ({error}); export it again",
        ) from error
    if short:
        raise Unusable(
            Code.TOKENIZER_MISMATCH,
            f"{tokenizer.name} makes ids up to {last}, but the embedding has {min(short)} rows; "
            "name the tokenizer.json that belongs to the model as `tokenizer`",
        )


def check_tokens(graph: Any, source: TokenizedSource) -> None:
    """Raise SourceError for the same in an exported graph, where TorchScript and TensorFlow show it first."""
    if not isinstance(source, GraphSource) or "input_ids" not in source.inputs:
        return
    try:
        check_ids(graph, "input_ids", read_tokenizer(source.tokenizer))
    except Unusable as error:
        raise SourceError([p.within(source.path) for p in error.problems]) from error


def lookups(graph: Any) -> Iterator[tuple[str, int]]:
    """Yield the name of the indices and the number of rows, for each constant table that rows are looked up in."""
    rows = {name: tensor.dims[0] for name, tensor in every_constant(graph) if len(tensor.dims) > 1}
    for node in every_node(graph):
        if node.op_type in SAME_ROWS and node.input[0] in rows:
            rows[node.output[0]] = rows[node.input[0]]
        elif node.op_type in LOOKUPS and not int_attribute(node, "axis"):
            index, table = (node.input[place] for place in LOOKUPS[node.op_type])
            if table in rows:
                yield index, rows[table]


def _values(graph: Any, ids: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the ids become in the graph, by the names of tensors, beside its constants of one number."""
    values = {**_scalars(graph), **ids}
    for node in every_node(graph):
        if (value := _value(node, values)) is not None:
            values[node.output[0]] = value
    return values


def _scalars(graph: Any) -> dict[str, Any]:
    """Return the constants of one number; those in an external file are left out, as ids are never kept there."""
    return {
        name: numpy_helper.to_array(tensor).item()
        for name, tensor in every_constant(graph)
        if all(size == 1 for size in tensor.dims) and tensor.data_location != TensorProto.EXTERNAL
    }


def _value(node: Any, values: Mapping[str, Any]) -> Any:
    """Return the number that a node computes of known ones; None where one of them is not known."""
    if node.op_type in SAME_IDS:
        return values.get(node.input[0])
    operands = [values.get(name) for name in node.input]
    if node.op_type not in ARITHMETIC or None in operands:
        return None
    return ARITHMETIC[node.op_type](*operands)
