"""The schemas of OpenAI's dialect, for the OpenAPI document."""

from typing import Any

from contracts.api.chat import MESSAGE, MESSAGES
from contracts.api.json_schema import INTEGER, NUMBER, STRING, Schema, array, described, obj
from functions.router.openai.chat import ANSWERED, CHAT
from functions.router.openai.completions import COMPLETIONS
from functions.router.openai.embeddings import EMBEDDINGS
from functions.router.openai.operation import Absent, Operation

# By their paths within `/v1`.
OPERATIONS: dict[str, Operation] = {
    "chat/completions": CHAT,
    "completions": COMPLETIONS,
    "embeddings": EMBEDDINGS,
}
BY_VLLM = "Taken by a GPU tier on vLLM, which checks it; by others not:"
NULL: Schema = {"type": "null"}
USAGE = {"prompt_tokens": INTEGER, "total_tokens": INTEGER}
ENDING: dict[str, Schema] = {
    "index": INTEGER,
    "logprobs": described({"type": ["object", "null"]}, "As vLLM writes them."),
    "finish_reason": {"enum": ["stop", "length", "tool_calls"]},
}
CHOICE = obj({"text": STRING, **ENDING})
NEXT_MESSAGE = obj(
    {
        "role": {"const": "assistant"},
        "content": {"type": ["string", "null"]},
        "refusal": NULL,
        "tool_calls": described({"type": "array"}, "As vLLM writes them."),
    },
    optional=("tool_calls",),
)
VECTOR = obj(
    {
        "object": {"const": "embedding"},
        "index": INTEGER,
        "embedding": {"oneOf": [array(NUMBER), described(STRING, "The base64 of its float32.")]},
    }
)
ANSWERS: dict[str, dict[str, Schema]] = {
    "chat/completions": {
        "id": STRING,
        "object": {"const": "chat.completion"},
        "created": INTEGER,
        "model": STRING,
        "choices": array(obj({"message": NEXT_MESSAGE, **ENDING})),
        "usage": obj({**USAGE, "completion_tokens": INTEGER}),
    },
    "completions": {
        "id": STRING,
        "object": {"const": "text_completion"},
        "created": INTEGER,
        "model": STRING,
        "choices": array(CHOICE),
        "usage": obj({**USAGE, "completion_tokens": INTEGER}),
    },
    "embeddings": {
        "object": {"const": "list"},
        "data": array(VECTOR),
        "model": STRING,
        "usage": obj(USAGE),
    },
}
RETRY_AFTER = described(INTEGER, "Seconds to wait before the next try, as in `Retry-After`.")
ERROR: Schema = obj(
    {
        "error": obj(
            {
                "message": STRING,
                "type": {"enum": ["invalid_request_error", "server_error"]},
                "param": {"type": ["string", "null"]},
                "code": described(STRING, "Stays the same when `message` is reworded."),
                "status": described(
                    INTEGER, "The status, also where another had to be sent before."
                ),
                "retry_after_s": RETRY_AFTER,
            },
            optional=("retry_after_s",),
        )
    }
)
EXAMPLES: dict[str, Any] = {
    "chat/completions": {
        "model": "my-model",
        "messages": [{"role": "user", "content": "Name an instrument."}],
        "max_completion_tokens": 8,
    },
    "completions": {"model": "my-model", "prompt": "The train", "max_tokens": 8, "temperature": 0},
    "embeddings": {"model": "my-model", "input": ["A guitar is a musical instrument."]},
}


def request(name: str, options: dict[str, Schema]) -> Schema:
    """Return the schema of a request; each key but the required ones may be null."""
    operation = OPERATIONS[name]
    keys = {
        one.name: one.document() if one.required else _nullable(one.document())
        for one in operation.keys
    }
    if MESSAGES in keys:
        keys[MESSAGES] = {**keys[MESSAGES], "items": _message()}
    absent = {key: _absent(one) for key, one in operation.absent.items()}
    passed = {
        key: {"description": f"{BY_VLLM} {one.why}."} for key, one in operation.passed.items()
    }
    return {
        "type": "object",
        "required": [one.name for one in operation.keys if one.required],
        "additionalProperties": False,
        "properties": {**keys, **passed, **absent, **options},
    }


def answer(name: str, head: dict[str, Schema]) -> Schema:
    """Return the schema of an answer, with `head`, what answers of this API say of themselves, under `turnout`."""
    optional = [key for key in ("proved", "degraded", "escalated") if key in head]
    ours = {"system_fingerprint": STRING, "turnout": obj(head, optional)}
    return obj({**ANSWERS[name], **ours})


def _message() -> Schema:
    """Return the schema of a message, as it is written or as an answer had it."""
    properties = {
        key: schema if key == "role" else _nullable(schema)
        for key, schema in MESSAGE["properties"].items()
    }
    properties["content"] |= {"description": "Null in a message that calls tools."}
    known = {**properties, **dict.fromkeys(ANSWERED, NULL)}
    # One that calls tools may have no content.
    return {**MESSAGE, "properties": known, "required": ["role"]}


def _absent(absent: Absent) -> Schema:
    return {
        "enum": [*absent.values, None],
        "description": f"Taken for clients that send it: {absent.why}.",
    }


def _nullable(schema: Schema) -> Schema:
    notes: Schema = {key: schema[key] for key in ("description", "default") if key in schema}
    return {"anyOf": [schema, {"type": "null"}], **notes}
