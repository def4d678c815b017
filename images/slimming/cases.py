"""The cases of a proof: golden requests, requests that every task refuses, and a model that is missing."""

import json
from collections.abc import Iterable
from typing import Any

from contracts.api.chat import ROLES
from contracts.api.registry import APIS
from contracts.tasks import Task
from images.slimming.function import Case

# Bytes that are no request, whatever the task.
MALFORMED = (
    b"",
    b"\xff\xfe\x00not UTF-8",
    b'{"inputs": ["\xe9"]}',
    b'{"inputs": ["cut',
    b"[" * 100_000,
    b'{"inputs": ["a"], "parameters": {"top_k": NaN}}',
    b'{"inputs": ["a"], "parameters": {"top_k": 1e999}}',
    b'{"inputs": ["a"], "parameters": {"top_k": ' + b"9" * 5000 + b"}}",
)
# JSON that some readers take and others do not, with the parameters of the task in place of %s.
ODD = (
    b'{"inputs": ["a"], "inputs": ["b"], "parameters": %s}',
    b'{"inputs": ["\\ud800"], "parameters": %s}',
)
INPUTS: tuple[Any, ...] = ("a", [], [""], [" "], [5], [None], [[]], [{}], {"a": 1})
# Documents with wrong fields, types and sizes.
WRONG: tuple[Any, ...] = (
    *(None, [], "text", 5, {}, {"probe": False}, {"probe": True}),
    *({"inputs": inputs} for inputs in INPUTS),
    {"inputs": ["a"], "parameters": {"none_such": 1}},
    {"inputs": ["a"], "parameters": []},
    {"inputs": ["a"], "more": True},
    {"inputs": [{"text": "a", "more": 1}, {"query": 1}, {"question": "a", "context": None}]},
    {"inputs": ["a"] * 65},
)
TEXTS = (
    "\U0001f600 \u0627\u0644\u0639\u0631\u0628\u064a\u0629 \u4e2d\u6587 \x00\x1b\u202e e\u0301 <mask> [MASK]",
    "word " * 2_000,
)
# Templates refuse some of these, such as a message of a tool that was not called.
CHATS: tuple[Any, ...] = (
    {"messages": [{"role": "user", "content": TEXTS[0]}]},
    {"messages": [{"role": "user", "content": [{"type": "text", "text": "a"}]}]},
    {"messages": [{"role": role, "content": "a"} for role in ROLES]},
)
# Values of several kinds: each parameter takes some, and refuses the others.
VALUES: tuple[Any, ...] = (None, "text", -1, 2, 0.5, [], {}, ["a"], [5], True)
# What keeps the replies to such requests equal and short, of the tasks that know it.
FIXED = {"seed": 7, "max_new_tokens": 4}
# Lambda's client writes its log as JSON where the function's settings say so.
JSON_LOG = Case(
    payloads=(b"{}", MALFORMED[-1]),
    environment=(("AWS_LAMBDA_LOG_FORMAT", "JSON"), ("AWS_LAMBDA_LOG_LEVEL", "INFO")),
)
# The function cannot be initialised without its model, and says why.
NO_MODEL = Case(payloads=(b"{}",), environment=(("TURNOUT_MODEL_DIR", "/nowhere"),))


def cases(task: Task, golden: Iterable[dict[str, Any]], *, chat: bool = False) -> tuple[Case, ...]:
    """Return the cases for a model of a task, whose golden requests are in the form of the wire.

    A model that takes chats gets some, whatever its golden requests are.
    """
    known = {parameter.name for parameter in APIS[task].parameters}
    fixed = {name: value for name, value in FIXED.items() if name in known}
    seed = {name: value for name, value in fixed.items() if name == "seed"}
    rows = [_with_parameters(row, seed) for row in golden]
    first = [_with_parameters(row, fixed) for row in rows[:1]]
    wrong = [_with_parameters(document, fixed) for document in WRONG]
    chats = [{"inputs": one, "parameters": fixed} for one in CHATS] if chat else []
    # Functions of other models refuse the key.
    streams = [{**one, "stream": stream} for one in first for stream in (True, "wrong")]
    documents = [
        *(*rows, *_together(rows), *wrong, *chats, *streams),
        *(*_texts(first), *_parameters(task, first, fixed)),
    ]
    payloads = (json.dumps(document).encode() for document in documents)
    odd = (text % json.dumps(fixed).encode() for text in ODD)
    return (Case(payloads=(*payloads, *odd, *MALFORMED)), JSON_LOG, NO_MODEL)


def _with_parameters(document: Any, more: dict[str, Any]) -> Any:
    """Return a request with parameters that it does not have, such as a seed: without, each reply is another one."""
    if not isinstance(document, dict) or "inputs" not in document:
        return document
    parameters = document.get("parameters", {})
    if not isinstance(parameters, dict):
        return document
    return {**document, "parameters": {**more, **parameters}}


def _together(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return one request with the inputs of several rows, which are then a batch."""
    inputs = [one for row in rows[:8] for one in row["inputs"]]
    return [{**row, "inputs": inputs} for row in rows[:1] if len(rows) > 1]


def _texts(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return rows with other texts in place of their own: odd characters, and far too many."""
    return [{**row, "inputs": [_with(row["inputs"][0], text)]} for row in rows for text in TEXTS]


def _with(value: Any, text: str) -> Any:
    """Return an input with each text in it replaced by another."""
    match value:
        case str():
            return text
        case dict():
            return {key: _with(part, text) for key, part in value.items()}
        case list():
            return [_with(part, text) for part in value]
    return value


def _parameters(
    task: Task, rows: list[dict[str, Any]], fixed: dict[str, Any]
) -> list[dict[str, Any]]:
    """Return the API's own example, and rows with each parameter of the task set to each value."""
    return [
        _with_parameters(dict(APIS[task].example.request), fixed),
        *(
            {**row, "parameters": {**row["parameters"], parameter.name: value}}
            for row in rows
            for parameter in APIS[task].parameters
            for value in VALUES
        ),
    ]
