"""Language model scoring: the log-probability of each token of a text, and its perplexity."""

from typing import Any

import numpy as np

from build.evaluation.comparison import NumberComparison
from build.evaluation.perplexity import compare_scores, uninformative_scores
from build.evaluation.rows import Labels, Row, RowFormat, request_of, text_field
from build.tasks.description import (
    Details,
    FamilyName,
    GraphOutputs,
    TaskDescription,
    TransformersModel,
)
from contracts.tasks import Task


def parse_row(row: dict[str, Any], labels: Labels) -> Row:
    """Return a text; there is no right answer to it."""
    return Row(request=request_of(text_field(row), per_token=True))


def add_head(graph: Any, details: Details) -> None:
    """Make [batch, tokens - 1]: the log-probability of each token but the first, given those before it."""
    from onnx import helper

    from build.graph.edit import add_constant
    from build.graph.output import append_output

    logits = graph.output[0].name
    # ONNX's Slice takes the largest int64 for the end of an axis.
    for name, value in (("score_one", 1), ("score_end", (1 << 63) - 1), ("score_last", -1)):
        add_constant(graph, name, np.array([value], np.int64))
    following = ["input_ids", "score_one", "score_end", "score_one"]
    nodes = [
        helper.make_node("LogSoftmax", [logits], ["score_all"], axis=-1),
        helper.make_node("Slice", following, ["score_next"]),
        helper.make_node("Unsqueeze", ["score_next", "score_last"], ["score_places"]),
        # The logits have one token more than there are indices, which GatherElements allows.
        helper.make_node("GatherElements", ["score_all", "score_places"], ["score_3d"], axis=2),
        helper.make_node("Squeeze", ["score_3d", "score_last"], ["log_probabilities"]),
    ]
    append_output(graph, nodes, "score", "log_probabilities", ["batch", "scored"])


DESCRIPTION = TaskDescription(
    name=Task.LANGUAGE_MODEL_SCORING,
    family=FamilyName.SCORER,
    rows=RowFormat(parse=parse_row, example='{"text": "..."}'),
    comparison=NumberComparison(measure=compare_scores, uninformative_outputs=uninformative_scores),
    transformers=TransformersModel(
        architectures=("ForCausalLM", "LMHeadModel"),
        export_task="text-generation",
    ),
    graph=GraphOutputs(rank=3, bare=True, add_head=add_head),
    one_text=True,
)
