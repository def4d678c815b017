"""`POST /v1/chat/completions`: the next message of a chat.

https://platform.openai.com/docs/api-reference/chat
"""

from collections.abc import Iterator, Mapping
from typing import Any

from contracts.api.chat import MESSAGE, MESSAGES, OPTIONAL, chat_problems
from contracts.api.json_schema import array, integer
from contracts.api.task_api import Parameter
from contracts.prediction import TierAnswer
from contracts.routes import Route
from contracts.tasks import Task
from functions.router.openai.errors import refused
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
from functions.router.openai.operation import MODEL, USER, Absent, Chunks, Operation

# Of a message that its client got from an answer and sends back, with null where there is nothing.
ANSWERED = ("refusal", "annotations", "audio", "function_call")
NO_TOOLS = "no model here calls tools; leave it out"
KEYS = (
    MODEL,
    Parameter(
        name=MESSAGES,
        description="The messages so far, of the roles system, developer (read as system), user, assistant and tool, "
        "each with a text or a list of parts of the type `text`.",
        schema=array(MESSAGE, minItems=1),
        required=True,
        expected="a list of messages",
    ),
    Parameter(
        name="max_completion_tokens",
        description="The most tokens to generate for each answer; the model's own limit without it.",
        schema=integer(1),
    ),
    Parameter(
        name="max_tokens",
        description="The older name of `max_completion_tokens`, which counts where both are given.",
        schema=integer(1),
    ),
    *SAMPLING,
    STREAM,
    STREAM_OPTIONS,
    USER,
)
ABSENT = {
    "functions": Absent(values=([],), why=NO_TOOLS),
    "function_call": Absent(values=("none", "auto"), why=NO_TOOLS),
    "modalities": Absent(values=(["text"],), why="models here write text alone; leave it out"),
    "audio": Absent(values=(), why="models here write text alone; leave it out"),
    "prediction": Absent(values=(), why="is not read here; leave it out"),
    "reasoning_effort": Absent(values=(), why="is not read here; leave it out"),
    "web_search_options": Absent(values=(), why="nothing is searched here; leave it out"),
    "store": Absent(values=(False,), why="no answer is kept here; leave it out"),
    "metadata": Absent(values=({},), why="no answer is kept here; leave it out"),
    "service_tier": Absent(values=("auto", "default"), why="a tier is pinned here by `tier`"),
}
PASSED = {
    "tools": Absent(values=([],), why=NO_TOOLS),
    "tool_choice": Absent(values=("none", "auto"), why=NO_TOOLS),
    "parallel_tool_calls": Absent(values=(True, False), why=NO_TOOLS),
    "response_format": Absent(
        values=({"type": "text"},), why="no tier here keeps to a format; ask for it in a message"
    ),
    "logprobs": Absent(values=(False,), why=NO_LOGPROBS),
    "top_logprobs": Absent(values=(0,), why=NO_LOGPROBS),
    **PENALTIES,
}


def translate(given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the request of ours; raise InvalidInput where `n` and `seed` contradict each other."""
    limit = given.get("max_completion_tokens", given.get("max_tokens"))
    limits = {} if limit is None else {"max_new_tokens": limit}
    chat = {MESSAGES: [_message(message) for message in given[MESSAGES]]}
    return {"inputs": [chat] * given.get("n", 1), "parameters": {**limits, **sampling(given)}}


def _message(message: Mapping[str, Any]) -> dict[str, Any]:
    # OpenAI's own models take either role for the other. Templates know `system`, and some drop what they do not know.
    role = "system" if message["role"] == "developer" else message["role"]
    return {**_filled(message), "role": role}


def _filled(message: Mapping[str, Any]) -> dict[str, Any]:
    """Return a message without the keys that are null because there is nothing; one that calls tools has a text."""
    nothing = {key for key in (*ANSWERED, *OPTIONAL) if message.get(key) is None}
    filled = {key: value for key, value in message.items() if key not in nothing}
    silent = "tool_calls" in filled and filled.get("content") is None
    return {**filled, "content": ""} if silent else filled


def problems(messages: object) -> Iterator[tuple[tuple[str, ...], str]]:
    """Yield the place of each problem within the messages, and the problem."""
    if isinstance(messages, list):
        messages = [_filled(one) if isinstance(one, dict) else one for one in messages]
    return chat_problems(messages)


def check(given: Mapping[str, Any], route: Route) -> None:
    """Raise InvalidInput for a model without a chat template."""
    if not route.chat:
        raise refused(
            "model",
            f"{route.model} has no chat template, so it takes no messages; send a text to /v1/completions",
        )


def answer(given: Mapping[str, Any], route: Route, answer: TierAnswer) -> dict[str, Any]:
    """Return the messages of the assistant as choices."""
    choices = [
        {
            "index": i,
            "message": _answered(output),
            "logprobs": output.get("logprobs"),
            "finish_reason": FINISH_REASONS[output["finish_reason"]],
        }
        for i, output in enumerate(answer.outputs)
    ]
    return {
        **head("chatcmpl", "chat.completion", route),
        "choices": choices,
        "usage": usage(answer.outputs, given.get("n", 1)),
    }


def _answered(output: Mapping[str, Any]) -> dict[str, Any]:
    calls = {"tool_calls": output["tool_calls"]} if "tool_calls" in output else {}
    content = output["generated_text"]
    return {
        "role": "assistant",
        "content": content or None if calls else content,
        "refusal": None,
        **calls,
    }


def _closing(whole: Mapping[str, Any]) -> dict[str, Any]:
    """Return the end of a choice; its calls of tools come whole, as the tier tells them."""
    calls = [{"index": i, **call} for i, call in enumerate(whole["message"].get("tool_calls", ()))]
    return {"delta": {"tool_calls": calls} if calls else {}}


CHAT = Operation(
    tasks=(Task.TEXT_GENERATION,),
    # The chat is an input for each of its answers, and the first problem is one of the first.
    inputs={f"/inputs/0/{MESSAGES}": MESSAGES, "/inputs/0": MESSAGES},
    keys=KEYS,
    absent=ABSENT,
    passed=PASSED,
    names={"max_new_tokens": "max_tokens"},
    translate=translate,
    nested={MESSAGES: problems},
    check=check,
    answer=answer,
    chunks=Chunks(
        kind="chat.completion.chunk",
        prefix="chatcmpl",
        opening={"delta": {"role": "assistant", "content": ""}},
        piece=lambda text: {"delta": {"content": text}},
        closing=_closing,
    ),
)
