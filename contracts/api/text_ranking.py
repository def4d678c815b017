"""Texts ranked by how well they answer a query."""

from contracts.api.json_schema import BOOLEAN, NUMBER, STRING, described, integer
from contracts.api.task_api import PROMPT_NAME, TEXT, Example, Parameter, TaskApi, output

QUERY = Parameter(
    name="query",
    description="The text that the inputs are ranked for.",
    # A blank text is no query.
    schema={**STRING, "pattern": r"\S"},
    required=True,
    expected="the text that the inputs are ranked for",
)
RAW_SCORES = Parameter(
    name="raw_scores",
    description="Return the model's logit as the score, without its activation.",
    schema=BOOLEAN,
    default=False,
)

API = TaskApi(
    summary="Rank texts for a query",
    input=TEXT,
    parameters=(QUERY, RAW_SCORES, PROMPT_NAME),
    output=output(
        {
            "score": described(
                NUMBER,
                "From 0 to 1; any number with `raw_scores`, or by a model with another activation than a sigmoid.",
            ),
            "rank": described(integer(1), "1 is the text that answers the query best."),
        }
    ),
    example=Example(
        request={
            "inputs": ["It ships on Monday.", "We are closed."],
            "parameters": {"query": "When does it ship?"},
        },
        outputs=(
            {"score": 0.98, "rank": 1, "tokens": 14, "truncated": False},
            {"score": 0.01, "rank": 2, "tokens": 13, "truncated": False},
        ),
    ),
)
