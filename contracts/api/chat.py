"""A chat as an input of a model that writes: `{"messages": [{"role": "user", "content": "..."}]}`."""

from collections.abc import Iterator, Mapping
from typing import Any

from contracts.api.json_schema import STRING, Schema, array, choice, described, matches, obj
from contracts.api.task_api import Form
from contracts.request_body import half_surrogate

MESSAGES = "messages"
ROLES = ("system", "developer", "user", "assistant", "tool")
PART = obj({"type": choice("text"), "text": STRING})
# A tool's call that the assistant has written before; its arguments are an object in JSON.
FUNCTION = obj({"name": STRING, "arguments": STRING})
CALL = obj({"id": STRING, "type": choice("function"), "function": FUNCTION})
# The keys of a message and the words for what is right. Templates of some models read the names of users and tools,
# and the calls of tools with their ids.
KEYS: Mapping[str, tuple[Schema, str]] = {
    "role": (choice(*ROLES), f"one of {', '.join(ROLES)}"),
    "content": (
        {"oneOf": [STRING, array(PART, minItems=1)]},
        'a text, or a list of parts {"type": "text", "text": "..."}',
    ),
    "name": (STRING, "a text"),
    "tool_call_id": (STRING, "a text"),
    "tool_calls": (
        array(CALL, minItems=1),
        'a list of calls {"id": "...", "type": "function", "function": {"name": "...", "arguments": "..."}}',
    ),
}
OPTIONAL = ("name", "tool_call_id", "tool_calls")
MESSAGE = obj({key: schema for key, (schema, _) in KEYS.items()}, OPTIONAL)
CHAT = Form(
    schema=described(
        obj({MESSAGES: array(MESSAGE, minItems=1)}),
        "A chat, for a model that has a chat template. Its answer is the assistant's next message.",
    ),
    expected='a chat {"messages": [{"role": "user", "content": "..."}]}',
)
Place = tuple[str, ...]


def chat_problems(messages: object) -> Iterator[tuple[Place, str]]:
    """Yield the place of each problem within a chat's messages, and the problem."""
    if not isinstance(messages, list) or not messages:
        yield (), "must be a list of messages, one at least"
        return
    for i, message in enumerate(messages):
        problems = _problems(message) if isinstance(message, dict) else [((), "must be an object")]
        for place, detail in problems:
            yield (str(i), *place), detail


def _problems(message: Mapping[str, object]) -> Iterator[tuple[Place, str]]:
    for key in message:
        if key not in KEYS:
            yield (key,), f"unknown key; a message has {', '.join(KEYS)}"
    for key, (schema, words) in KEYS.items():
        if key not in message and key in OPTIONAL:
            continue
        if not matches(message.get(key), schema):
            yield (key,), f"must be {words}"
            continue
        for place, text in _texts(message[key]):
            if detail := half_surrogate(text):
                yield (key, *place), detail


def _texts(value: Any) -> Iterator[tuple[Place, str]]:
    """Yield the place and the text of each text within a valid value."""
    if isinstance(value, str):
        yield (), value
        return
    items = value.items() if isinstance(value, dict) else enumerate(value)
    for key, item in items:
        for place, text in _texts(item):
            yield (str(key), *place), text
