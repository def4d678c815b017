"""`POST /v1/completions`: the continuation of texts.

https://platform.openai.com/docs/api-reference/completions
"""

from collections.abc import Mapping
from typing import Any

from contracts.api.json_schema import BOOLEAN, integer
from contracts.api.task_api import Parameter
from contracts.prediction import TierAnswer
from contracts.routes import Route
from contracts.tasks import Task
from functions.router.openai.generation import (
    FINISH_REASONS,
    NO_LOGPROBS,
    PENALTIES,
    SAMPLING,
    STREAM,
    STREAM_OPTIONS,
    head,
    sampling,
    usage,
)
from functions.router.openai.operation import MODEL, USER, Absent, Chunks, Operation, texts

# What OpenAI documents as the limit of a request that names none.
MAX_TOKENS = 16
KEYS = (
    MODEL,
    texts("prompt", "The text to continue, or several."),
    Parameter(
        name="max_tokens",
        description="The most tokens to generate for each prompt.",
        schema=integer(1),
        default=MAX_TOKENS,
    ),
    *SAMPLING,
    Parameter(
        name="echo",
        description="Put the prompt in front of the text.",
        schema=BOOLEAN,
        default=False,
    ),
    STREAM,
    STREAM_OPTIONS,
    USER,
)
ABSENT = {
    "suffix": Absent(values=("",), why="no model here fills in a middle; leave it out"),
    "best_of": Absent(values=(1,), why="every text is returned; ask for several by `n`"),
}
PASSED = {"logprobs": Absent(values=(), why=NO_LOGPROBS), **PENALTIES}


def translate(given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the request of ours; raise InvalidInput where `n` and `seed` contradict each other."""
    parameters = {
        "max_new_tokens": given.get("max_tokens", MAX_TOKENS),
        **sampling(given),
        "return_full_text": given.get("echo", False),
    }
    prompts = [given["prompt"]] if isinstance(given["prompt"], str) else given["prompt"]
    return {
        "inputs": [prompt for prompt in prompts for _ in range(given.get("n", 1))],
        "parameters": parameters,
    }


def answer(given: Mapping[str, Any], route: Route, answer: TierAnswer) -> dict[str, Any]:
    """Return the texts as choices, in the order of the prompts."""
    choices = [
        {
            "text": output["generated_text"],
            "index": i,
            "logprobs": output.get("logprobs"),
            "finish_reason": FINISH_REASONS[output["finish_reason"]],
        }
        for i, output in enumerate(answer.outputs)
    ]
    return {
        **head("cmpl", "text_completion", route),
        "choices": choices,
        "usage": usage(answer.outputs, given.get("n", 1)),
    }


COMPLETIONS = Operation(
    tasks=(Task.TEXT_GENERATION, Task.TEXT2TEXT_GENERATION),
    inputs={"/inputs": "prompt"},
    keys=KEYS,
    absent=ABSENT,
    passed=PASSED,
    names={"max_new_tokens": "max_tokens", "return_full_text": "echo"},
    translate=translate,
    answer=answer,
    chunks=Chunks(
        kind="text_completion",
        prefix="cmpl",
        piece=lambda text: {"text": text},
        closing=lambda whole: {"text": ""},
    ),
)
