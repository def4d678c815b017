"""The API in OpenAPI's words: what a request, an answer and a problem look like, with examples."""

from typing import Any

from contracts.errors import PROBLEM_JSON

Schema = dict[str, Any]

TITLE = "Turnout"
DESCRIPTION = """Language models on two tiers: quantized on CPU, in full precision on GPU. The router chooses per
request; every answer names the `tier` that gave it and the `reason`, the rule that chose it."""

LABELS: Schema = {
    "type": "array",
    "items": {
        "type": "object",
        "properties": {"label": {"type": "string"}, "score": {"type": "number"}},
    },
}
# What an output may have besides; which of them it has, its model's task says.
OUTPUT: Schema = {
    "type": "object",
    "description": "What the task of the model answers to one input.",
    "required": ["tokens", "truncated"],
    "properties": {
        "label": {"type": "string", "description": "The likeliest label."},
        "score": {"type": "number"},
        "top": {"type": "array", "description": "The likeliest, when `top_k` was asked for."},
        "labels": {**LABELS, "description": "All that reach `threshold`, of a multi-label model."},
        "entities": {
            "type": "array",
            "description": "Entities with their place in the text, in characters.",
            "items": {
                "type": "object",
                "properties": {
                    "label": {"type": "string"},
                    "text": {"type": "string"},
                    "start": {"type": "integer"},
                    "end": {"type": "integer"},
                    "score": {"type": "number"},
                },
            },
        },
        "embedding": {"type": "array", "items": {"type": "number"}},
        "rank": {"type": "integer", "description": "1 is the text that answers the query best."},
        "masks": {"type": "array", "description": "The likeliest tokens for each mask."},
        "answer": {"type": "string", "description": "The part of the context that answers."},
        "start": {"type": "integer"},
        "end": {"type": "integer"},
        "generated_text": {"type": "string"},
        "generated_tokens": {"type": "integer"},
        "finish_reason": {"enum": ["eos_token", "stop_sequence", "length", "time"]},
        "log_probability": {"type": "number", "description": "Of the whole text, in nats."},
        "perplexity": {"type": ["number", "null"]},
        "per_token": {"type": "array", "description": "The same of each token."},
        "found": {"type": "boolean", "description": "Whether there is a vector for the word."},
        "unknown": {"type": "array", "description": "Words that there is no vector for."},
        "word": {"type": "string", "description": "What was looked up in place of the word."},
        "nearest": {"type": "array", "description": "The nearest words, with their cosine."},
        "tokens": {"type": "integer", "description": "Tokens the model has read."},
        "truncated": {
            "type": "boolean",
            "description": "The text was longer than the model reads.",
        },
    },
}

INPUT: Schema = {
    "oneOf": [
        {"type": "string"},
        {
            "type": "object",
            "description": "Where a task takes more than one text: `question` and `context`, `text` and `text_pair`, "
            "`positive` and `negative`.",
            "additionalProperties": {
                "oneOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]
            },
        },
    ]
}
REQUEST: Schema = {
    "type": "object",
    "required": ["inputs"],
    "additionalProperties": False,
    "properties": {
        "inputs": {
            "description": "An input, or a list of them.",
            "oneOf": [*INPUT["oneOf"], {"type": "array", "minItems": 1, "items": INPUT}],
        },
        "parameters": {
            "type": "object",
            "description": "Depends on the task: `top_k`, `candidate_labels`, `query`, `max_new_tokens` and so on. "
            "An unknown one is refused, and the problem names those that are known.",
        },
        "tier": {
            "enum": ["cpu", "gpu"],
            "description": "Pin a tier instead of letting the rules choose.",
        },
    },
}
EXAMPLES: dict[str, Schema] = {
    "text-classification": {
        "inputs": ["where on earth is my parcel"],
        "parameters": {"top_k": 2},
    },
    "zero-shot-classification": {
        "inputs": ["my card was charged twice"],
        "parameters": {"candidate_labels": ["billing", "delivery"]},
    },
    "question-answering": {
        "inputs": [{"question": "Who rang?", "context": "Ada rang at noon."}],
        "parameters": {},
    },
    "text-ranking": {
        "inputs": ["It ships on Monday.", "We are closed."],
        "parameters": {"query": "When does it ship?"},
    },
    "text-generation": {
        "inputs": ["The train"],
        "parameters": {"max_new_tokens": 32, "stop": ["."]},
    },
}

ANSWER: Schema = {
    "type": "object",
    "required": ["model", "version", "tier", "reason", "outputs", "elapsed_ms"],
    "properties": {
        "model": {"type": "string"},
        "version": {"type": "string", "description": "The artefact's digest, short."},
        "tier": {"enum": ["cpu", "gpu"]},
        "reason": {"enum": ["pinned", "fits_cpu", "fits_gpu"]},
        "outputs": {"type": "array", "items": OUTPUT, "description": "One per input, in order."},
        "elapsed_ms": {"type": "number", "description": "Inference alone, on the tier."},
    },
}

PROBLEM: Schema = {
    "type": "object",
    "description": "Problem details, RFC 9457.",
    "required": ["type", "title", "status", "detail", "code"],
    "properties": {
        "type": {"type": "string", "format": "uri"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "code": {"type": "string", "description": "Stays the same when `detail` is reworded."},
        "errors": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {"pointer": {"type": "string"}, "detail": {"type": "string"}},
            },
        },
    },
}

MODEL: Schema = {
    "type": "object",
    "required": ["id", "object", "created", "owned_by", "task", "tiers"],
    "properties": {
        "id": {"type": "string"},
        "object": {"const": "model"},
        "created": {
            "type": "integer",
            "description": "When it was deployed, in seconds since 1970.",
        },
        "owned_by": {"type": "string"},
        "task": {"type": "string"},
        "labels": {"type": "array", "items": {"type": "string"}},
        "dimensions": {"type": ["integer", "null"]},
        "tiers": {"type": "array", "items": {"type": "object"}},
    },
}

MODELS: Schema = {
    "type": "object",
    "properties": {"object": {"const": "list"}, "data": {"type": "array", "items": MODEL}},
}

TITLES = {
    400: "The body is not JSON",
    401: "No key, or an unknown one",
    404: "No such model",
    413: "More than any tier takes",
    422: "Not a request of ours",
    502: "The tier failed",
    503: "The tier cannot be reached now",
    504: "The tier ran out of time",
}


def responses(ok: str, schema: Schema, *errors: int) -> dict[int | str, Schema]:
    """What a route answers: its own schema, and problem documents for the errors named."""
    problems: dict[int | str, Schema] = {
        status: {"description": TITLES[status], "content": {PROBLEM_JSON: {"schema": PROBLEM}}}
        for status in errors
    }
    return {
        200: {"description": ok, "content": {"application/json": {"schema": schema}}},
        **problems,
    }


def security() -> Schema:
    return {"security": [{"key": []}]}


def request_body() -> Schema:
    examples = {task: {"value": example} for task, example in EXAMPLES.items()}
    content = {"application/json": {"schema": REQUEST, "examples": examples}}
    return {"requestBody": {"required": True, "content": content}}


def completed(document: Schema) -> Schema:
    """FastAPI's document with our bearer key, and without the validation error it would never answer."""
    components = document.setdefault("components", {})
    components["securitySchemes"] = {
        "key": {"type": "http", "scheme": "bearer", "description": "A key of `turnout keys add`."}
    }
    components.pop("schemas", None)
    for path in document["paths"].values():
        for operation in path.values():
            if "HTTPValidationError" in str(operation["responses"].get("422", "")):
                del operation["responses"]["422"]
    return document
