"""How many tokens a bare graph knows: the rows of the table that it looks them up in."""

from typing import Any

from build.bare import check_rows
from build.errors import SourceError
from build.graphs import every_constant, every_node, int_attribute
from build.source import Source, Unusable

# Operators that look rows up, with the places of the ids and of the table among what they read.
LOOKUPS = {"Gather": (1, 0), "GatherBlockQuantized": (1, 0), "EmbedLayerNormalization": (0, 2)}
# What leaves ids the numbers, and a table the rows, that they are.
SAME_IDS = {"Cast", "Identity", "Reshape", "Flatten", "Squeeze", "Unsqueeze", "Transpose"}
SAME_ROWS = {"Cast", "Identity", "DequantizeLinear"}


def rows_of(graph: Any, name: str) -> int:
    """The rows of the smallest table that the ids of that input are looked up in; 0 where none is found."""
    rows = {n: tensor.dims[0] for n, tensor in every_constant(graph) if len(tensor.dims) > 1}
    ids, found = {name}, []
    for node in every_node(graph):
        first = node.input[0] if node.input else ""
        if node.op_type in SAME_IDS and first in ids:
            ids.add(node.output[0])
        elif node.op_type in SAME_ROWS and first in rows:
            rows[node.output[0]] = rows[first]
        elif node.op_type in LOOKUPS and not int_attribute(node, "axis"):
            asked, table = (node.input[place] for place in LOOKUPS[node.op_type])
            found += [rows[table]] if asked in ids and table in rows else []
    return min(found, default=0)


def check_tokens(graph: Any, source: Source) -> None:
    """Raises SourceError where the tokenizer of a bare graph makes tokens that it does not know."""
    if "input_ids" not in source.inputs:
        return
    try:
        check_rows(source.tokenizer, rows_of(graph, "input_ids"))
    except Unusable as error:
        raise SourceError([f"{source.file}: {mistake}" for mistake in error.args]) from error
