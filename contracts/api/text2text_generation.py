"""A text generated from a text, such as its translation or its summary."""

from contracts.api.task_api import TEXT, Example, TaskApi
from contracts.api.text_generation import OUTPUT, PARAMETERS

API = TaskApi(
    summary="Generate a text from a text",
    input=TEXT,
    parameters=PARAMETERS,
    output=OUTPUT,
    example=Example(
        request={
            "inputs": ["translate English to German: The house is wonderful."],
            "parameters": {"max_new_tokens": 32},
        },
        outputs=(
            {
                "generated_text": "Das Haus ist wunderbar.",
                "finish_reason": "eos_token",
                "generated_tokens": 7,
                "tokens": 11,
                "truncated": False,
            },
        ),
    ),
)
