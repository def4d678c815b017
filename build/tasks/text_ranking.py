"""Text ranking: texts in the order in which a cross-encoder scores them for a query."""

from collections.abc import Sequence
from typing import Any, TypeGuard

import numpy as np

from build.evaluation.agreement import AnswerComparison
from build.evaluation.jsonlines import RowProblem
from build.evaluation.metrics import Metric, Outputs, mean
from build.evaluation.rows import Labels, Row, RowFormat, request_of, text_field, texts_field
from build.tasks import prompts, token_scores
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
from functions.inference.tasks.text_ranking import ACTIVATIONS, SIGMOID

# The key that sentence-transformers wrote before its version 4.
OLDER_ACTIVATION = "sbert_ce_default_activation_function"


def parse_row(row: dict[str, Any], labels: Labels) -> Row:
    """Return a query with the texts to rank; `label` is the place of the best one in the list."""
    texts = texts_field(row, "texts")
    label = row.get("label")
    if label is not None and not (isinstance(label, int) and 0 <= label < len(texts)):
        raise RowProblem(
            f'"label" has to be the place of the best text, from 0 to {len(texts) - 1}'
        )
    query, prompt = text_field(row, "query"), prompts.prompt_field(row)
    return Row(request=request_of(*texts, query=query, **prompt), answer=label)


def unfit(rows: Sequence[Row], details: Details) -> list[Problem]:
    """Return a problem if a row names a prompt that the model does not have."""
    return prompts.unfit(rows, details, prompts.CROSS_ENCODER)


def ranks_of(outputs: Outputs) -> tuple[int, ...]:
    """Return the rank of each text, 1 for the best; texts with equal scores share the last of their places.

    The places that they are served in are those of the request, which a model that scores all alike would get right
    wherever the best text is put first.
    """
    scores = [output["score"] for output in outputs]
    return tuple(sum(other >= score for other in scores) for score in scores)


def reciprocal_rank(ranks: tuple[int, ...], best: int) -> tuple[float, ...]:
    """Return one over the rank that the best text was given."""
    return 1 / ranks[best], 1.0


def any_order(right: Sequence[int], texts: Sequence[int]) -> float | None:
    """Return the mean reciprocal rank that is expected of texts in random order, given their number in each row."""
    expected = [sum(1 / place for place in range(1, count + 1)) / count for count in texts]
    return float(np.mean(expected)) if max(texts) > 1 else None


def unordered(answers: Sequence[tuple[int, ...]]) -> str:
    """Return that no row has two texts with different scores, if none has."""
    return "" if any(len(set(ranks)) > 1 for ranks in answers) else "no order of their texts"


MEAN_RECIPROCAL_RANK = Metric(
    name="mean reciprocal rank",
    answer=ranks_of,
    counts=reciprocal_rank,
    value=mean,
    as_label=lambda ranks: ranks.index(min(ranks)),
    trivial=any_order,
    trivial_answer="any order of the texts",
    untold=unordered,
)


def details(facts: ModelFacts) -> dict[str, Any]:
    """Return the prompts, and the activation that makes a score of the logit, as CrossEncoder finds it.

    The activation is a path within torch. One elsewhere is not loaded by CrossEncoder either, which takes a sigmoid.
    """
    path = _activation(facts)
    activation = {"activation": path.rpartition(".")[2]} if path else {}
    return {**prompts.details(facts, prompts.CROSS_ENCODER), **activation}


def _activation(facts: ModelFacts) -> str:
    """Return the path of the activation, "" if none is set: CrossEncoder has saved it in three places in its time."""
    path = facts.sentence_transformers.get("activation_fn")
    if not _in_torch(path):
        own = facts.config.get("sentence_transformers")
        named = isinstance(own, dict) and "activation_fn" in own
        path = own["activation_fn"] if named else facts.config.get(OLDER_ACTIVATION)  # type: ignore[index]
    return path if _in_torch(path) else ""


def _in_torch(path: object) -> TypeGuard[str]:
    return isinstance(path, str) and path.startswith("torch.")


def problems(facts: ModelFacts) -> list[Problem]:
    """Return a problem for more than one label, for an activation that is not known, and each of the prompts'."""
    found = prompts.problems(facts, prompts.CROSS_ENCODER)
    if len(facts.labels) != 1 and not token_scores.is_causal(facts.config):
        message = (
            f"has {len(facts.labels)} labels, but text-ranking needs a cross-encoder with one score"
        )
        found.append(Problem(code=Code.LABELS_MISMATCH, message=message))
    activation = _activation(facts).rpartition(".")[2] or SIGMOID
    if activation not in ACTIVATIONS:
        message = (
            f"its activation is {_activation(facts)}, which is not served; save it with one of "
            f"{', '.join(ACTIVATIONS)} as `activation_fn`"
        )
        found.append(Problem(code=Code.ARCHITECTURE_UNSUPPORTED, message=message))
    return found


DESCRIPTION = TaskDescription(
    name=Task.TEXT_RANKING,
    family=FamilyName.ENCODER,
    rows=RowFormat(
        parse=parse_row,
        example='{"query": "...", "texts": ["...", "..."], "label": 0}',
        unfit=unfit,
    ),
    comparison=AnswerComparison(metric=MEAN_RECIPROCAL_RANK),
    transformers=TransformersModel(
        architectures=("ForSequenceClassification", token_scores.CAUSAL),
        export_as=token_scores.export_as,
        problems=problems,
        details=details,
    ),
    graph=GraphOutputs(
        bare=True, removable_activations=("sigmoid",), add_head=token_scores.add_head
    ),
    min_labels=1,
    default_labels=("score",),
)
