"""The embedding of a text."""

from contracts.api.json_schema import NUMBER, array, described
from contracts.api.task_api import PROMPT_NAME, TEXT, Example, TaskApi, output

API = TaskApi(
    summary="Compute the embedding of a text",
    input=TEXT,
    parameters=(PROMPT_NAME,),
    output=output(
        {"embedding": described(array(NUMBER), "As many numbers as the model has dimensions.")}
    ),
    example=Example(
        request={"inputs": ["A guitar is a musical instrument."]},
        outputs=({"embedding": [0.036, -0.012], "tokens": 9, "truncated": False},),
    ),
)
