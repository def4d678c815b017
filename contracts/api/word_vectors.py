"""The vector of a word, its nearest words, and analogies."""

from contracts.api.json_schema import NUMBER, STRING, array, described, integer, obj
from contracts.api.task_api import Example, Form, Parameter, TaskApi, output

# A word reads one row of the table for each of its n-grams; no real word is longer than this.
MAX_WORD_CHARS = 256
MAX_WORDS = 100
POSITIVE, NEGATIVE = "positive", "negative"
WORD_OR_WORDS = {"oneOf": [STRING, array(STRING)]}
NEAREST = Parameter(
    name="nearest",
    description="List this many of the nearest words; without it only analogies have them.",
    schema=integer(1, 1000),
    default=10,
)

API = TaskApi(
    summary="Look up the vector of a word or of an analogy",
    input=Form(
        schema={
            "oneOf": [
                STRING,
                obj(
                    {POSITIVE: WORD_OR_WORDS, NEGATIVE: WORD_OR_WORDS},
                    optional=(POSITIVE, NEGATIVE),
                ),
            ],
            "description": f"A word of up to {MAX_WORD_CHARS} characters, or an analogy of up to {MAX_WORDS} words.",
        },
        expected='a word or an object {"positive": ["..."], "negative": ["..."]}',
    ),
    parameters=(NEAREST,),
    output={
        "oneOf": [
            output(
                {
                    "found": {"const": True},
                    "embedding": array(NUMBER),
                    "word": described(STRING, "The word that was looked up, if its case differs."),
                    "nearest": described(
                        array(obj({"word": STRING, "score": NUMBER})),
                        "The nearest words with their cosine.",
                    ),
                },
                optional=("word", "nearest"),
            ),
            output(
                {
                    "found": {"const": False},
                    "unknown": described(array(STRING), "The words that have no vector."),
                }
            ),
        ]
    },
    example=Example(
        request={
            "inputs": ["king", {"positive": ["king", "woman"], "negative": ["man"]}, "kingg"],
            "parameters": {"nearest": 2},
        },
        outputs=(
            {
                "found": True,
                "embedding": [0.5, -0.6],
                "nearest": [{"word": "prince", "score": 0.82}, {"word": "queen", "score": 0.78}],
                "tokens": 1,
                "truncated": False,
            },
            {
                "found": True,
                "embedding": [0.7, -0.7],
                "nearest": [{"word": "queen", "score": 0.71}, {"word": "monarch", "score": 0.62}],
                "tokens": 3,
                "truncated": False,
            },
            {"found": False, "unknown": ["kingg"], "tokens": 1, "truncated": False},
        ),
    ),
)
