"""Named entities in a text."""

from contracts.api.json_schema import INTEGER, STRING, array, choice, described, obj
from contracts.api.task_api import SCORE, TEXT, Example, Parameter, TaskApi, output

AGGREGATION = Parameter(
    name="aggregation",
    description="How the labels of tokens become entities, as `aggregation_strategy` in transformers' pipeline: a "
    "word takes the label of its `first` token, the `average` or the `max` of its tokens; `simple` joins tokens "
    "without regard to words, and `none` lists every token with its whole tag, such as `B-PER`.",
    schema=choice("first", "average", "max", "simple", "none"),
    default="first",
)

API = TaskApi(
    summary="Find named entities in a text",
    input=TEXT,
    parameters=(AGGREGATION,),
    output=output(
        {
            "entities": array(
                obj(
                    {
                        "label": STRING,
                        "score": SCORE,
                        "start": described(INTEGER, "The entity's first character in the text."),
                        "end": described(INTEGER, "The character after its last."),
                        "text": STRING,
                    }
                )
            ),
            "score": described(SCORE, "The score of the least certain token's tag."),
        }
    ),
    example=Example(
        request={
            "inputs": ["Ada Lovelace lived in London."],
            "parameters": {"aggregation": "first"},
        },
        outputs=(
            {
                "entities": [
                    {"label": "PER", "score": 0.99, "start": 0, "end": 12, "text": "Ada Lovelace"},
                    {"label": "LOC", "score": 0.98, "start": 22, "end": 28, "text": "London"},
                ],
                "score": 0.96,
                "tokens": 8,
                "truncated": False,
            },
        ),
    ),
)
