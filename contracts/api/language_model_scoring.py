"""The probability of a text under a language model."""

from contracts.api.json_schema import BOOLEAN, INTEGER, NUMBER, STRING, array, described, obj
from contracts.api.task_api import TEXT, Example, Parameter, TaskApi, output

PER_TOKEN = Parameter(
    name="per_token",
    description="Also list the log-probability of each token.",
    schema=BOOLEAN,
    default=False,
)

API = TaskApi(
    summary="Score a text with a language model",
    input=TEXT,
    parameters=(PER_TOKEN,),
    output=output(
        {
            "log_probability": described(NUMBER, "Of the whole text, in nats."),
            # A text of one token has no scored token, and so no mean.
            "perplexity": {
                "type": ["number", "null"],
                "description": "Of a token; null for a text without scored tokens.",
            },
            "per_token": array(
                obj(
                    {
                        "token": STRING,
                        "start": described(INTEGER, "The token's first character in the text."),
                        "end": described(INTEGER, "The character after its last."),
                        "log_probability": NUMBER,
                    }
                )
            ),
        },
        optional=("per_token",),
    ),
    example=Example(
        request={"inputs": ["the white house"], "parameters": {"per_token": True}},
        outputs=(
            {
                "log_probability": -9.2,
                "perplexity": 9.97,
                "per_token": [
                    {"token": "the", "start": 0, "end": 3, "log_probability": -1.6},
                    {"token": "white", "start": 4, "end": 9, "log_probability": -5.1},
                    {"token": "house", "start": 10, "end": 15, "log_probability": -0.5},
                    {"token": "</s>", "start": 15, "end": 15, "log_probability": -2.0},
                ],
                "tokens": 4,
                "truncated": False,
            },
        ),
    ),
)
