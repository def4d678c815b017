"""Text generation: the continuation of a prompt by a causal model."""

from typing import Any

from build.evaluation.comparison import NumberComparison
from build.evaluation.perplexity import compare_generation, uninformative_generation
from build.evaluation.rows import Labels, Row, RowFormat, request_of, text_field
from build.tasks.description import FamilyName, TaskDescription, TransformersModel
from contracts.tasks import Task

# Tokens that the reference generates for a row without a target.
NEW_TOKENS = 16


def parse_row(row: dict[str, Any], labels: Labels) -> Row:
    """Return a prompt; `target` is a text that may follow it."""
    answer = text_field(row, "target") if "target" in row else None
    # A model's own settings may have it sample, and two samples cannot be compared.
    request = request_of(text_field(row), max_new_tokens=NEW_TOKENS, do_sample=False)
    return Row(request=request, answer=answer)


# Outputs by teacher forcing whose tokens are equal are the same, whatever became of their log-probabilities.
COMPARISON = NumberComparison(
    measure=compare_generation,
    uninformative_outputs=uninformative_generation,
    same_elsewhere=lambda one, other: True,
)

DESCRIPTION = TaskDescription(
    name=Task.TEXT_GENERATION,
    family=FamilyName.CAUSAL,
    rows=RowFormat(
        parse=parse_row, example='{"text": "..."} or {"text": "...", "target": "what follows"}'
    ),
    comparison=COMPARISON,
    transformers=TransformersModel(architectures=("ForCausalLM", "LMHeadModel")),
)
