"""`POST /v1/completions`: the continuation of texts.

https://platform.openai.com/docs/api-reference/completions
"""

import time
import uuid
from collections.abc import Mapping
from typing import Any

from contracts.api.json_schema import BOOLEAN, INTEGER, NUMBER, STRING, array, integer
from contracts.api.task_api import Parameter
from contracts.api.text_generation import MAX_STOPS
from contracts.prediction import TierAnswer
from contracts.routes import Route
from contracts.tasks import Task
from functions.router.openai.errors import refused
from functions.router.openai.operation import MODEL, USER, Absent, Operation, texts

# What OpenAI documents as the limit of a request that names none.
MAX_TOKENS = 16
MOST_CHOICES = 128
# OpenAI has no name for a text that is cut because the time is over.
FINISH_REASONS: Mapping[str, str] = {
    "eos_token": "stop",
    "stop_sequence": "stop",
    "length": "length",
    "time": "length",
}
STOPS = array({**STRING, "minLength": 1}, maxItems=MAX_STOPS)
KEYS = (
    MODEL,
    texts("prompt", "The text to continue, or several."),
    Parameter(
        name="max_tokens",
        description="The most tokens to generate for each prompt.",
        schema=integer(1),
        default=MAX_TOKENS,
    ),
    Parameter(
        name="temperature",
        description="Above 1 unlikely tokens become likelier; 0 takes the likeliest. The model's own without it.",
        schema={**NUMBER, "minimum": 0, "maximum": 2},
    ),
    Parameter(
        name="top_p",
        description="Sample from the fewest tokens that have this probability together.",
        schema={**NUMBER, "exclusiveMinimum": 0, "maximum": 1},
    ),
    Parameter(
        name="n",
        description="The number of texts for each prompt.",
        schema=integer(1, MOST_CHOICES),
        default=1,
    ),
    Parameter(
        name="stop",
        description="The text ends before the first of these strings.",
        schema={"oneOf": [{**STRING, "minLength": 1}, STOPS]},
        expected=f"a text or a list of at most {MAX_STOPS} texts, none of them empty",
    ),
    Parameter(
        name="seed",
        description="The same seed gives the same text.",
        schema=INTEGER,
        expected="a whole number",
    ),
    Parameter(
        name="echo",
        description="Put the prompt in front of the text.",
        schema=BOOLEAN,
        default=False,
    ),
    USER,
)
ABSENT = {
    "stream": Absent(values=(False,), why="answers come whole here; leave it out"),
    "stream_options": Absent(values=(), why="answers come whole here; leave it out"),
    "suffix": Absent(values=("",), why="no model here fills in a middle; leave it out"),
    "best_of": Absent(values=(1,), why="every text is returned; ask for several by `n`"),
}
PENALTY = Absent(values=(0, 0.0), why="is not applied here; leave it out")
# What vLLM does for completions and chats alike, in the same words.
PENALTIES = {
    "presence_penalty": PENALTY,
    "frequency_penalty": PENALTY,
    "logit_bias": Absent(values=({},), why="is not applied here; leave it out"),
}
PASSED = {
    "logprobs": Absent(values=(), why="no tier here returns log-probabilities; leave it out"),
    **PENALTIES,
}


def translate(given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the request of ours; raise InvalidInput where `n` and `seed` contradict each other."""
    count = given.get("n", 1)
    if count > 1 and "seed" in given:
        raise refused("seed", f"gives the same text {count} times; leave it out, or `n`")
    parameters = {
        "max_new_tokens": given.get("max_tokens", MAX_TOKENS),
        **_sampling(given),
        "return_full_text": given.get("echo", False),
    }
    if "stop" in given:
        parameters["stop"] = [given["stop"]] if isinstance(given["stop"], str) else given["stop"]
    return {"inputs": [p for p in _prompts(given) for _ in range(count)], "parameters": parameters}


def _prompts(given: Mapping[str, Any]) -> list[str]:
    prompt = given["prompt"]
    return [prompt] if isinstance(prompt, str) else prompt


def _sampling(given: Mapping[str, Any]) -> dict[str, Any]:
    # Any probability of a token that is taken for certain is enough, so top_p has no meaning then.
    if given.get("temperature") == 0:
        return {"do_sample": False}
    sampling = {key: given[key] for key in ("temperature", "top_p") if key in given}
    if "seed" in given:
        # Theirs may be negative.
        sampling["seed"] = given["seed"] % 2**64
    return sampling


def answer(given: Mapping[str, Any], route: Route, answer: TierAnswer) -> dict[str, Any]:
    """Return the texts as choices, in the order of the prompts."""
    outputs, count = answer.outputs, given.get("n", 1)
    choices = [
        {
            "text": output["generated_text"],
            "index": i,
            "logprobs": output.get("logprobs"),
            "finish_reason": FINISH_REASONS[output["finish_reason"]],
        }
        for i, output in enumerate(outputs)
    ]
    # A prompt is read for each of its texts, and counts once.
    read = sum(output["tokens"] for output in outputs[::count])
    generated = sum(output["generated_tokens"] for output in outputs)
    return {
        "id": f"cmpl-{uuid.uuid4().hex}",
        "object": "text_completion",
        "created": int(time.time()),
        "model": route.model,
        "choices": choices,
        "usage": {
            "prompt_tokens": read,
            "completion_tokens": generated,
            "total_tokens": read + generated,
        },
    }


COMPLETIONS = Operation(
    tasks=(Task.TEXT_GENERATION, Task.TEXT2TEXT_GENERATION),
    inputs="prompt",
    keys=KEYS,
    absent=ABSENT,
    passed=PASSED,
    names={"max_new_tokens": "max_tokens", "return_full_text": "echo"},
    translate=translate,
    answer=answer,
)
