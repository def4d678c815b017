"""The head of a language model: the product that makes the logits of all tokens of a vocabulary."""

from typing import Any

from build.errors import ExportFailed
from build.graph.edit import constants, producers

# What may stand between the product and the logits, number by number: they are kept within a limit by tanh, or have a
# bias added.
ELEMENTWISE = ("Add", "Div", "Mul", "Tanh")


def language_head(graph: Any, logits: str) -> Any:
    """Return the MatMul of hidden states with a constant matrix that the logits come from; raise ExportFailed."""
    made_by, initializers = producers(graph), constants(graph)
    head = made_by[logits]
    while head.op_type in ELEMENTWISE:
        # A constant may be on either side.
        made = [n for n in head.input if n in made_by and made_by[n].op_type != "Constant"]
        if len(made) != 1:
            break
        head = made_by[made[0]]
    if head.op_type != "MatMul" or head.input[1] not in initializers:
        raise ExportFailed(f"the logits come from {head.op_type}, not from a product with a matrix")
    return head
