"""Text generation: the continuation of a prompt by a causal model."""

from collections.abc import Mapping, Sequence
from typing import Any

from build.evaluation.comparison import NumberComparison
from build.evaluation.jsonlines import RowProblem
from build.evaluation.perplexity import compare_generation, uninformative_generation
from build.evaluation.rows import Labels, Row, RowFormat, request_of, text_field
from build.tasks.description import FamilyName, TaskDescription, TransformersModel
from contracts.api.chat import MESSAGES, chat_problems
from contracts.api.text_generation import MAX_NEW_TOKENS
from contracts.manifest import CHAT
from contracts.problems import Code, Problem
from contracts.tasks import Task

# Tokens that are generated for a row that does not say how many.
NEW_TOKENS = 16


def parse_row(row: dict[str, Any], labels: Labels) -> Row:
    """Return a prompt, which is a text or a chat; `target` is a text that may follow it."""
    answer = text_field(row, "target") if "target" in row else None
    given = _chat(row) if MESSAGES in row else text_field(row)
    # A model's own settings may have it sample, and two samples cannot be compared.
    request = request_of(given, max_new_tokens=_new_tokens(row), do_sample=False)
    return Row(request=request, answer=answer)


def _new_tokens(row: dict[str, Any]) -> int:
    name = MAX_NEW_TOKENS.name
    count: int = row.get(name, NEW_TOKENS)
    if problem := MAX_NEW_TOKENS.problem(count):
        raise RowProblem(f'"{name}" {problem}')
    return count


def _chat(row: dict[str, Any]) -> dict[str, Any]:
    if "text" in row:
        raise RowProblem(f'has both "text" and "{MESSAGES}"; a row is a text or a chat')
    for place, detail in chat_problems(row[MESSAGES]):
        raise RowProblem(f'"{"/".join((MESSAGES, *place))}" {detail}')
    return {MESSAGES: row[MESSAGES]}


def too_long(rows: Sequence[Row], details: Mapping[str, Any]) -> list[Problem]:
    """Return a problem for rows that ask for more tokens than the model writes."""
    most = details.get(MAX_NEW_TOKENS.name)
    asked = max(row.request.parameters[MAX_NEW_TOKENS.name] for row in rows)
    # Of a model with a smaller limit, a row that does not say so gets that.
    if most is None or asked <= max(most, NEW_TOKENS):
        return []
    message = f'has a row with "{MAX_NEW_TOKENS.name}": {asked}, and the model writes at most {most}; ask for fewer'
    return [Problem(code=Code.ROWS_INVALID, message=message)]


def unfit(rows: Sequence[Row], details: Mapping[str, Any]) -> list[Problem]:
    """Return a problem for answers that are too long, and for chats that the model does not take every day alike."""
    return [*too_long(rows, details), *_unfit_chats(rows, details)]


def _unfit_chats(rows: Sequence[Row], details: Mapping[str, Any]) -> list[Problem]:
    chats = any(not isinstance(row.request.inputs[0], str) for row in rows)
    if not chats or (CHAT in details and "dated" not in details[CHAT]):
        return []
    reason = (
        "the model's chat template writes the time, so no two days have the same answers"
        if CHAT in details
        else "the model has no chat template"
    )
    message = f'has rows with "{MESSAGES}", but {reason}; give the texts as "text"'
    return [Problem(code=Code.ROWS_INVALID, message=message)]


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
        parse=parse_row,
        example='{"text": "..."} or {"text": "...", "target": "what follows"}',
        answer="target",
        unfit=unfit,
    ),
    comparison=COMPARISON,
    transformers=TransformersModel(architectures=("ForCausalLM", "LMHeadModel")),
)
