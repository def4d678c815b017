"""Extractive question answering: the span of a text that answers a question."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np

from build.evaluation.agreement import AnswerComparison
from build.evaluation.metrics import MAJORITY, Metric, Outputs, mean
from build.evaluation.rows import Labels, Row, RowFormat, request_of, text_field, texts_field
from build.tasks.description import (
    Details,
    FamilyName,
    GraphOutputs,
    TaskDescription,
    TransformersModel,
)
from contracts.cascade.agreement import words_of
from contracts.tasks import Task


def parse_row(row: dict[str, Any], labels: Labels) -> Row:
    """Return a question with the text that answers it; any of `answers` is right."""
    value = {"question": text_field(row, "question"), "context": text_field(row, "context")}
    answer = tuple(texts_field(row, "answers")) if "answers" in row else None
    return Row(request=request_of(value), answer=answer)


def answer_of(outputs: Outputs) -> str:
    """Return the answer to a question."""
    answer: str = outputs[0]["answer"]
    return answer


def best_word_f1(answer: str, right: tuple[str, ...]) -> tuple[float, ...]:
    """Return F1 of the words in common with the nearest right answer, as SQuAD does (arXiv:1606.05250)."""
    return max(_word_f1(words_of(answer), words_of(text)) for text in right), 1.0


def _word_f1(one: list[str], other: list[str]) -> float:
    if not one or not other:
        # As SQuAD 2.0 scores it: no answer is right only where none is wanted.
        return float(one == other)
    return 2 * sum((Counter(one) & Counter(other)).values()) / (len(one) + len(other))


def commonest_answer(right: Sequence[tuple[str, ...]], inputs: Sequence[int]) -> float | None:
    """Return the F1 of the most frequent right answer for all rows, None if it is right for all of them."""
    counts = Counter(text for answers in right for text in set(answers))
    ((commonest, _),) = counts.most_common(1)
    value = float(np.mean([best_word_f1(commonest, answers)[0] for answers in right]))
    return value if value < 1 else None


WORD_F1 = Metric(
    name="word F1",
    answer=answer_of,
    counts=best_word_f1,
    value=mean,
    # A row may have several right answers, so the reference's becomes a tuple of one.
    as_label=lambda answer: (answer,),
    trivial=commonest_answer,
    trivial_answer=MAJORITY,
)


def add_head(graph: Any, details: Details) -> None:
    """Make [batch, tokens, 2] of the logits of starts and of ends."""
    from onnx import helper

    from build.graph.edit import add_constant
    from build.graph.output import append_output

    names = [output.name for output in graph.output]
    add_constant(graph, "span_axis", np.array([-1], np.int64))
    nodes = [
        *(helper.make_node("Unsqueeze", [n, "span_axis"], [f"span_{n}"]) for n in names),
        helper.make_node("Concat", [f"span_{n}" for n in names], ["spans"], axis=-1),
    ]
    append_output(graph, nodes, "span", "spans", ["batch", "tokens", 2])


DESCRIPTION = TaskDescription(
    name=Task.QUESTION_ANSWERING,
    family=FamilyName.ENCODER,
    rows=RowFormat(
        parse=parse_row, example='{"question": "...", "context": "...", "answers": ["..."]}'
    ),
    comparison=AnswerComparison(metric=WORD_F1),
    transformers=TransformersModel(
        architectures=("ForQuestionAnswering",),
        export_task="question-answering",
    ),
    # In this order, by which the head tells starts from ends.
    graph=GraphOutputs(names=("start_logits", "end_logits"), bare=True, add_head=add_head),
)
