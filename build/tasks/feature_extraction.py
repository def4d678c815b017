"""Feature extraction: one vector, the embedding, for a text."""

from collections.abc import Sequence
from typing import Any

from build.evaluation.comparison import NumberComparison
from build.evaluation.metrics import Outputs
from build.evaluation.rows import Labels, Row, RowFormat, request_of, score_field, text_field
from build.evaluation.vectors.embedding_similarity import (
    compare_embeddings,
    uninformative_vectors,
    vector_figures,
)
from build.tasks import prompts
from build.tasks.description import (
    Details,
    FamilyName,
    GraphOutputs,
    ModelFacts,
    TaskDescription,
    TransformersModel,
)
from contracts.problems import Code, Problem
from contracts.specs import Gate
from contracts.tasks import Task


def parse_row(row: dict[str, Any], labels: Labels) -> Row:
    """Return a text, or a pair with a score of how alike people find it; the keys may be those of the STS benchmark."""
    sts = "sentence1" in row
    one, other = ("sentence1", "sentence2") if sts else ("text", "text_pair")
    text = text_field(row, one)
    prompt = prompts.prompt_field(row)
    if other not in row and "score" not in row:
        return Row(request=request_of(text, **prompt))
    score = score_field(row, one, other)
    return Row(request=request_of(text, text_field(row, other), **prompt), answer=score)


def unfit(rows: Sequence[Row], details: Details) -> list[Problem]:
    """Return a problem if a row names a prompt that the model does not have."""
    return prompts.unfit(rows, details, prompts.EMBEDDER)


def problems(facts: ModelFacts) -> list[Problem]:
    """Return every problem of the model's prompts."""
    return prompts.problems(facts, prompts.EMBEDDER)


def details(facts: ModelFacts) -> dict[str, Any]:
    """Return the model's prompts."""
    return prompts.details(facts, prompts.EMBEDDER)


def scores_problems(rows: Sequence[Row]) -> list[Problem]:
    """Return a problem if all scores are equal: they have no correlation with anything."""
    if len({row.answer for row in rows}) > 1:
        return []
    message = (
        f"every score is {rows[0].answer:g}, which ranks nothing; give pairs that are more alike and less, or leave "
        "the scores out"
    )
    return [Problem(code=Code.ROWS_INVALID, message=message)]


def same_vectors(one: Outputs, other: Outputs) -> bool:
    """Return whether the vectors of a row are as near as the default gate wants them."""
    return vector_figures([one], [other]).cosine_mean >= Gate().min_cosine_mean


DESCRIPTION = TaskDescription(
    name=Task.FEATURE_EXTRACTION,
    family=FamilyName.ENCODER,
    rows=RowFormat(
        parse=parse_row,
        example='{"text": "..."} or {"text": "...", "text_pair": "...", "score": 3.8}',
        answer="score",
        problems=scores_problems,
        unfit=unfit,
    ),
    comparison=NumberComparison(
        measure=compare_embeddings,
        uninformative_outputs=uninformative_vectors,
        same_elsewhere=same_vectors,
    ),
    transformers=TransformersModel(
        # Any architecture has vectors of tokens; the head of another task is left out.
        architectures=("",),
        export_task="feature-extraction",
        problems=problems,
        details=details,
    ),
    graph=GraphOutputs(bare=True, pooled=True),
    one_text=True,
)
