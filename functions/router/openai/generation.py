"""The keys that completions and chats have in common, what they mean here, and the parts of their answers."""

import time
import uuid
from collections.abc import Mapping, Sequence
from typing import Any

from contracts.api.json_schema import BOOLEAN, INTEGER, NUMBER, STRING, array, integer, obj
from contracts.api.task_api import Parameter
from contracts.api.text_generation import MAX_STOPS
from contracts.routes import Route
from functions.router.openai.errors import refused
from functions.router.openai.operation import Absent

MOST_CHOICES = 128
# OpenAI has no name for a text that is cut because the time is over.
FINISH_REASONS: Mapping[str, str] = {
    "eos_token": "stop",
    "stop_sequence": "stop",
    "length": "length",
    "time": "length",
    "tool_calls": "tool_calls",
}
STOPS = array({**STRING, "minLength": 1}, maxItems=MAX_STOPS)
SAMPLING = (
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
)
STREAM = Parameter(
    name="stream",
    description="Send the answer as it is written, in server-sent events; at the [streaming URL](streaming.md) alone.",
    schema=BOOLEAN,
    default=False,
)
STREAM_OPTIONS = Parameter(
    name="stream_options",
    description="With `include_usage` a stream's last chunk has the usage, and no choices.",
    schema=obj({"include_usage": BOOLEAN}, optional=("include_usage",)),
    expected='an object {"include_usage": true}',
)
NO_LOGPROBS = "no tier here returns log-probabilities; leave it out"
PENALTY = Absent(values=(0, 0.0), why="is not applied here; leave it out")
# What vLLM does for completions and chats alike, in the same words.
PENALTIES = {
    "presence_penalty": PENALTY,
    "frequency_penalty": PENALTY,
    "logit_bias": Absent(values=({},), why="is not applied here; leave it out"),
}


def sampling(given: Mapping[str, Any]) -> dict[str, Any]:
    """Return our parameters for the keys of SAMPLING, but for `n`.

    Raise InvalidInput where `n` and `seed` contradict each other.
    """
    count = given.get("n", 1)
    if count > 1 and "seed" in given:
        raise refused("seed", f"gives the same text {count} times; leave it out, or `n`")
    parameters = _choice(given)
    if "stop" in given:
        parameters["stop"] = [given["stop"]] if isinstance(given["stop"], str) else given["stop"]
    return parameters


def _choice(given: Mapping[str, Any]) -> dict[str, Any]:
    # Any probability of a token that is taken for certain is enough, so top_p has no meaning then.
    if given.get("temperature") == 0:
        return {"do_sample": False}
    chosen = {key: given[key] for key in ("temperature", "top_p") if key in given}
    if "seed" in given:
        # Theirs may be negative.
        chosen["seed"] = given["seed"] % 2**64
    return chosen


def head(prefix: str, kind: str, route: Route) -> dict[str, Any]:
    """Return what an answer begins with: an id of its own, its kind, the time in seconds and the model."""
    return {
        "id": f"{prefix}-{uuid.uuid4().hex}",
        "object": kind,
        "created": int(time.time()),
        "model": route.model,
    }


def usage(outputs: Sequence[Mapping[str, Any]], count: int) -> dict[str, int]:
    """Return the tokens that were read and written; a prompt is read for each of its `count` texts, and counts once."""
    read = sum(output["tokens"] for output in outputs[::count])
    written = sum(output["generated_tokens"] for output in outputs)
    return {
        "prompt_tokens": read,
        "completion_tokens": written,
        "total_tokens": read + written,
    }
