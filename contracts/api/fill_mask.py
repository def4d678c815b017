"""The likeliest tokens in place of a mask."""

from contracts.api.json_schema import STRING, array, described, integer, obj
from contracts.api.task_api import SCORE, TEXT, Example, Parameter, TaskApi, output

TOP_K = Parameter(
    name="top_k",
    description="The number of tokens for each mask.",
    schema=integer(1, 100),
    default=5,
)
FILLED = {"token": STRING, "score": SCORE}

API = TaskApi(
    summary="Fill the masks of a text",
    input=TEXT,
    parameters=(TOP_K,),
    output=output(
        {
            "masks": described(
                array(
                    obj(
                        {
                            **FILLED,
                            "top": described(array(obj(FILLED)), "The `top_k` likeliest tokens."),
                        }
                    )
                ),
                "The likeliest token of each of the model's mask tokens in the text, in order.",
            )
        }
    ),
    example=Example(
        request={"inputs": ["The train is [MASK]."], "parameters": {"top_k": 3}},
        outputs=(
            {
                "masks": [
                    {
                        "token": "late",
                        "score": 0.41,
                        "top": [
                            {"token": "late", "score": 0.41},
                            {"token": "here", "score": 0.22},
                            {"token": "full", "score": 0.09},
                        ],
                    }
                ],
                "tokens": 7,
                "truncated": False,
            },
        ),
    ),
)
