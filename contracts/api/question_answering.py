"""The part of a context that answers a question."""

from contracts.api.json_schema import BOOLEAN, INTEGER, STRING, array, described, integer, obj
from contracts.api.task_api import SCORE, Example, Parameter, TaskApi, object_of, output

TOP_K = Parameter(
    name="top_k",
    description="Also list this many answers as `top`, the best first.",
    schema=integer(1, 20),
)
MAX_ANSWER_LEN = Parameter(
    name="max_answer_len",
    description="The longest answer, in tokens; at most as many as the model reads.",
    schema=integer(1),
    # The default of transformers' question-answering pipeline.
    default=15,
)
HANDLE_IMPOSSIBLE_ANSWER = Parameter(
    name="handle_impossible_answer",
    description="Let the empty answer compete, for questions that the context does not answer.",
    schema=BOOLEAN,
    default=False,
)
ANSWER = {
    "answer": described(STRING, "A part of the context, or an empty text for no answer."),
    "score": SCORE,
    "start": described(INTEGER, "The answer's first character in the context."),
    "end": described(INTEGER, "The character after its last."),
}

API = TaskApi(
    summary="Answer a question from a context",
    input=object_of("question", "context"),
    parameters=(TOP_K, MAX_ANSWER_LEN, HANDLE_IMPOSSIBLE_ANSWER),
    output=output(
        {**ANSWER, "top": described(array(obj(ANSWER)), "The `top_k` best answers.")},
        optional=("top",),
    ),
    example=Example(
        request={
            "inputs": [{"question": "Who rang?", "context": "Ada rang at noon."}],
            "parameters": {"max_answer_len": 5},
        },
        outputs=(
            {
                "answer": "Ada",
                "score": 0.99,
                "start": 0,
                "end": 3,
                "tokens": 12,
                "truncated": False,
            },
        ),
    ),
)
