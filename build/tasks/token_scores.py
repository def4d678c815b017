"""The scores of cross-encoders that are causal models: the logit of a token behind a query and a text.

https://sbert.net/docs/package_reference/cross_encoder/modules.html#logitscore
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from build.tasks.description import Details

CAUSAL = "ForCausalLM"
# The ids of the tokens in a model's details: the score is the logit of the first, less that of the other if it has one.
TRUE, FALSE = "true_token_id", "false_token_id"


def is_causal(config: Mapping[str, Any]) -> bool:
    """Return whether config.json names a model that predicts the next token, whose score is the logit of one."""
    classes = config.get("architectures")
    return isinstance(classes, list) and bool(classes) and str(classes[0]).endswith(CAUSAL)


def export_as(details: Details) -> str:
    """Return what is exported: the logits of all tokens of a causal model, or the head of a classifier."""
    return "text-generation" if TRUE in details else "text-classification"


def add_head(graph: Any, details: Details) -> None:
    """Make [batch, 1] of a causal model's logits, in place: that of one token behind the text, less that of another.

    The head is computed for the last token of each text, and for no tokens but those. Raise ExportFailed.
    """
    if TRUE not in details:
        return
    from onnx import helper

    from build.graph.edit import add_constant, constants, insert_before, prune
    from build.graph.language_head import language_head
    from build.graph.output import append_output, name_nodes
    from build.graph.tensors import array_of

    logits = graph.output[0].name
    head = language_head(graph, logits)
    ids = [int(details[key]) for key in (TRUE, FALSE) if key in details]
    matrix = array_of(constants(graph)[head.input[1]])
    add_constant(graph, "rank_rows", np.ascontiguousarray(matrix[:, ids]))
    signs = np.array([[1.0], [-1.0]][: len(ids)], np.float32)
    for name, value in (
        ("rank_axis", np.array([1])),
        ("rank_one", np.array(1)),
        ("rank_signs", signs),
    ):
        add_constant(graph, name, value)
    nodes = [
        # Texts are padded on the right.
        helper.make_node("ReduceSum", ["attention_mask", "rank_axis"], ["rank_count"], keepdims=1),
        helper.make_node("Sub", ["rank_count", "rank_one"], ["rank_place"]),
        helper.make_node("GatherND", [head.input[0], "rank_place"], ["rank_last"], batch_dims=1),
        helper.make_node("MatMul", ["rank_last", "rank_rows"], [head.output[0]]),
    ]
    name_nodes(nodes, "rank")
    insert_before(graph, head, nodes)
    graph.node.remove(head)
    # The shapes that were inferred for the head are those of all tokens.
    del graph.value_info[:]
    difference = [helper.make_node("MatMul", [logits, "rank_signs"], ["score"])]
    append_output(graph, difference, "score", "score", ["batch", 1])
    prune(graph)
