"""Mask filling: the likeliest tokens in the places of a text that hold the mask token."""

from dataclasses import replace
from typing import Any

import numpy as np

from build.evaluation.agreement import AnswerComparison
from build.evaluation.metrics import ACCURACY, Outputs
from build.evaluation.rows import Labels, Row, RowFormat, request_of, text_field
from build.tasks.description import (
    Details,
    FamilyName,
    GraphOutputs,
    ModelFacts,
    TaskDescription,
    TransformersModel,
)
from contracts.problems import Code, Problem
from contracts.tasks import Task

# The names that exporters give the nodes of a masked language model's head; the first reads the encoder's output.
HEAD_NODES = ("/cls/", "/lm_head/", "/vocab_transform/", "/generator_predictions/")


def parse_row(row: dict[str, Any], labels: Labels) -> Row:
    """Return a text with a mask; `label` is the token that belongs there."""
    answer = text_field(row, "label") if "label" in row else None
    return Row(request=request_of(text_field(row)), answer=answer)


def first_token(outputs: Outputs) -> str | None:
    """Return the likeliest token in the first mask of a text, None if the text has no mask."""
    masks = outputs[0]["masks"]
    return masks[0]["token"] if masks else None


TOKEN_ACCURACY = replace(ACCURACY, answer=first_token)


def details(facts: ModelFacts) -> dict[str, Any]:
    """Return the mask token with its id, and the number of tokens to choose from."""
    token = _mask_token(facts)
    return {
        "mask_token": token,
        "mask_id": facts.vocabulary[token],
        "vocabulary": int(facts.config["vocab_size"]),
    }


def problems(facts: ModelFacts) -> list[Problem]:
    """Return a problem for each detail that the model's files lack."""
    problems = []
    if _mask_token(facts) not in facts.vocabulary:
        message = "tokenizer_config.json names no mask_token of the vocabulary"
        problems.append(Problem(code=Code.TOKENIZER_MISMATCH, message=message))
    if not facts.config.get("vocab_size"):
        message = "config.json has no `vocab_size`; save the model again"
        problems.append(Problem(code=Code.FILE_DAMAGED, message=message))
    return problems


def _mask_token(facts: ModelFacts) -> str:
    """Return the mask token, which is an object with its settings in the files of some tokenizers; "" if not named."""
    token = facts.tokenizer_config.get("mask_token")
    if isinstance(token, dict):
        token = token.get("content")
    return token if isinstance(token, str) else ""


def add_head(graph: Any, details: Details) -> None:
    """Make [masks, vocabulary]: the model's head is computed for the mask tokens and for no others."""
    from onnx import helper

    from build.graph.edit import add_constant, insert_before
    from build.graph.output import append_output, name_nodes, replace_outputs

    inner = next((node for node in graph.node if node.name.startswith(HEAD_NODES)), None)
    hidden = inner.input[0] if inner else graph.output[0].name
    add_constant(graph, "mask_id", np.array(details["mask_id"], np.int64))
    nodes = [
        helper.make_node("Equal", ["input_ids", "mask_id"], ["mask_is"]),
        # Row by row, so text by text: `Encoder._rows` gives the logits back to their texts in this order.
        helper.make_node("NonZero", ["mask_is"], ["mask_columns"]),
        helper.make_node("Transpose", ["mask_columns"], ["mask_places"], perm=[1, 0]),
        helper.make_node("GatherND", [hidden, "mask_places"], ["mask_picked"]),
    ]
    logits = graph.output[0]
    shape = ["masks", logits.type.tensor_type.shape.dim[-1].dim_value or "vocabulary"]
    if inner is None:  # the head is not found by its names, so its logits are picked instead
        append_output(graph, nodes, "mask", "mask_picked", shape)
        return
    for node in graph.node:
        if node.name.startswith(HEAD_NODES):
            node.input[:] = ["mask_picked" if name == hidden else name for name in node.input]
    name_nodes(nodes, "mask")
    insert_before(graph, inner, nodes)
    # The shapes that were inferred for the head are those of all tokens.
    del graph.value_info[:]
    replace_outputs(graph, logits.name, shape)


DESCRIPTION = TaskDescription(
    name=Task.FILL_MASK,
    family=FamilyName.ENCODER,
    rows=RowFormat(parse=parse_row, example='{"text": "... [MASK] ...", "label": "..."}'),
    comparison=AnswerComparison(metric=TOKEN_ACCURACY),
    transformers=TransformersModel(
        architectures=("ForMaskedLM",),
        export_task="fill-mask",
        problems=problems,
        details=details,
    ),
    graph=GraphOutputs(add_head=add_head),
)
