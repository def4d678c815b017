"""The OpenAPI document, derived from the APIs of the tasks. It is imported and built when it is first requested.

https://spec.openapis.org/oas/v3.1.0
"""

import inspect
from http import HTTPStatus
from typing import Any

from contracts.api.json_schema import INTEGER, NUMBER, STRING, Schema, array, described, obj
from contracts.api.registry import APIS
from contracts.api.task_api import Form, Parameter, TaskApi
from contracts.cascade.confidence import CONFIDENCES
from contracts.http_errors import ERRORS, PROBLEM_JSON, ServingError, problem_document
from contracts.prediction import MAX_CLIENT_CHARS, Prefer
from contracts.tasks import Task, Tier
from functions.router.deciding.decision import REASONS
from functions.router.deciding.escalation import REASONS as ESCALATION_REASONS
from functions.router.http.model_schemas import MODEL, MODELS, TIER
from functions.router.openai import schemas
from functions.router.openai.errors import STATUSES

DESCRIPTION = """Language models on two tiers: quantized on CPU, in full precision on GPU. The router chooses per
request; every answer names the `tier` that gave it and the `reason` why it is that one. No text of a request is blank
but those of a chat, and whole numbers are written without a point.

Every path that has `GET` has `HEAD` as well. Scripts of other origins may call if `models.toml` names their origin."""

# The keys of `contracts.prediction.OPTIONS`, each of which may be null.
OPTIONS: dict[str, Schema] = {
    "tier": {
        "enum": [*Tier, None],
        "description": "Pin a tier instead of letting the rules choose.",
    },
    "version": {
        "type": ["string", "null"],
        "minLength": 1,
        "description": "Pin a version, as answers name it; no other answers.",
    },
    "deadline_ms": {"$ref": "#/components/schemas/Deadline"},
    "prefer": {
        "enum": [*Prefer, None],
        "description": "What counts most where several tiers can answer: time, precision, or price.",
    },
    "allow_degraded": {
        "type": ["boolean", "null"],
        "default": True,
        "description": "Whether the CPU tier may answer for a GPU tier that cannot.",
    },
    "idempotent": {
        "type": ["boolean", "null"],
        "default": True,
        "description": "Whether the request may be sent again once it may have run.",
    },
    "client": {
        "type": ["string", "null"],
        "minLength": 1,
        "maxLength": MAX_CLIENT_CHARS,
        "description": "Whom a split between tiers keeps on one of them; without it, the key.",
    },
}

PROBLEM: Schema = {
    "type": "object",
    "description": "Problem details, RFC 9457.",
    "required": ["type", "title", "status", "detail", "code"],
    "properties": {
        "type": {**STRING, "format": "uri"},
        "title": STRING,
        "status": INTEGER,
        "detail": STRING,
        "code": described(STRING, "Stays the same when `detail` is reworded."),
        "errors": array({"type": "object", "properties": {"pointer": STRING, "detail": STRING}}),
        "retry_after_s": schemas.RETRY_AFTER,
    },
}
HEALTH: Schema = {"type": "object", "properties": {"status": {"const": "ok"}}}
MODEL_NAME: Schema = {"name": "model", "in": "path", "required": True, "schema": STRING}
CONTENT_ENCODING: Schema = {
    "name": "Content-Encoding",
    "in": "header",
    "description": "`gzip` for a compressed body, which may inflate to 10 MB. The gateway keeps its bytes only if the "
    "`Content-Type` is not one of a text, such as `application/octet-stream`.",
    "schema": {"enum": ["gzip", "identity"]},
}
EXAMPLE_ANSWER = {
    "model": "my-model",
    "version": "f00dfeed0000",
    "tier": "cpu",
    "reason": "fits_cpu",
}


# What an answer says of itself.
HEAD: dict[str, Schema] = {
    "version": described(STRING, "The first characters of the artefact's digest."),
    "tier": TIER,
    "reason": {"enum": [*REASONS, *ESCALATION_REASONS]},
    "proved": described({"const": False}, "There if nobody has seen these weights answer yet."),
    "degraded": described(
        {"const": True}, "There if the CPU tier answers for the GPU tier; `reason` says why."
    ),
    "escalated": {
        **obj({"inputs": array(INTEGER), "tier": TIER, "version": STRING, "elapsed_ms": NUMBER}),
        "description": "The places of the inputs that the GPU tier answered, because the CPU tier was not certain "
        "enough, with that tier's own version and time.",
    },
    "elapsed_ms": described(NUMBER, "The time of inference alone, on the tier."),
}


def complete(document: Schema, longest_ms: int) -> Schema:
    """Return FastAPI's document with the schemas, the examples and the bearer key of our API behind one front."""
    deadline = {"type": ["integer", "null"], "minimum": 1, "maximum": longest_ms}
    schemas = {name: schema for task, api in APIS.items() for name, schema in _schemas(task, api)}
    components = {
        "schemas": {
            **schemas,
            "Problem": PROBLEM,
            "Deadline": described(deadline, "The time to answer in, in milliseconds."),
        },
        "securitySchemes": {
            "key": {
                "type": "http",
                "scheme": "bearer",
                "description": "A key of `turnout keys add`.",
            }
        },
    }
    for path in document["paths"].values():
        for operation in path.values():
            operation.update(_operation(operation["operationId"]))
    info = {**document["info"], "description": DESCRIPTION}
    return {**document, "info": info, "components": components}


def _operation(operation_id: str) -> Schema:
    """Return the parameters, request body, responses and security of an operation."""
    match operation_id:
        case "predict":
            body = {"required": True, "content": {"application/json": _requests()}}
            codes = (400, 401, 404, 413, 415, 422, 502, 503, 504)
            return {
                "requestBody": body,
                "parameters": [MODEL_NAME, CONTENT_ENCODING],
                **_secured("The answer", _answers(), *codes),
            }
        case "chat_completions" | "completions" | "embeddings":
            return _in_dialect(operation_id.replace("_", "/"))
        case "models":
            return _secured("The models", {"schema": MODELS}, 401)
        case "model":
            answers = _secured("The model", {"schema": MODEL}, 401, 404)
            return {"parameters": [MODEL_NAME], **answers}
    return {"responses": _responses("The router runs", {"schema": HEALTH})}


def _in_dialect(path: str) -> Schema:
    """Return an operation of OpenAI's dialect, whose errors have OpenAI's shape."""
    request = {"schema": schemas.request(path, OPTIONS), "example": schemas.EXAMPLES[path]}
    error = {"application/json": {"schema": schemas.ERROR}}
    statuses = sorted({STATUSES.get(e.code, e.status) for e in ERRORS.values()})
    return {
        "security": [{"key": []}],
        "requestBody": {"required": True, "content": {"application/json": request}},
        "parameters": [CONTENT_ENCODING],
        "responses": {
            "200": {
                "description": "The answer",
                "content": {"application/json": {"schema": schemas.answer(path, HEAD)}},
            },
            **{
                str(status): {"description": HTTPStatus(status).phrase, "content": error}
                for status in statuses
            },
        },
    }


def _secured(description: str, content: Schema, *statuses: int) -> Schema:
    return {"security": [{"key": []}], "responses": _responses(description, content, *statuses)}


def _responses(description: str, content: Schema, *statuses: int) -> Schema:
    """Return the responses: the given content, and problem documents for the other statuses."""
    # No two errors have the same status.
    errors = {error.status: error for error in ERRORS.values()}
    return {
        "200": {"description": description, "content": {"application/json": content}},
        **{str(status): _problem(errors[status]) for status in statuses},
    }


def _problem(error: type[ServingError]) -> Schema:
    """Return the response of an error, with a problem document as its example."""
    # Python 3.13 takes the indentation out of docstrings itself, as this does everywhere: the page is the same.
    meaning = inspect.getdoc(error) or ""
    example = problem_document(error(meaning))
    content = {PROBLEM_JSON: {"schema": _ref("Problem"), "example": example}}
    return {"description": meaning, "content": content}


def _requests() -> Schema:
    return {
        "schema": {"anyOf": [_ref(f"{_name(task)}Request") for task in APIS]},
        "examples": {
            task: {"summary": f"{task}: {api.summary}", "value": api.example.request}
            for task, api in APIS.items()
        },
    }


def answer() -> Schema:
    """Return the schema of an answer: the outputs are those of one of the tasks."""
    # Neither oneOf nor a discriminator: an answer does not name its task, and an output of text-classification with
    # `top` is a valid output of zero-shot-classification too.
    outputs = [{"title": task, **array(_ref(f"{_name(task)}Output"))} for task in APIS]
    return obj(
        {
            "model": STRING,
            **HEAD,
            "outputs": {"anyOf": outputs, "description": "One per input, in order."},
        },
        optional=("proved", "degraded", "escalated"),
    )


def _answers() -> Schema:
    return {
        "schema": answer(),
        "examples": {
            task: {
                "summary": f"{task}: {api.summary}",
                "value": {
                    **EXAMPLE_ANSWER,
                    "outputs": list(api.example.outputs),
                    "elapsed_ms": 3.2,
                },
            }
            for task, api in APIS.items()
        },
    }


def _schemas(task: Task, api: TaskApi) -> list[tuple[str, Schema]]:
    name = _name(task)
    request = {
        "type": "object",
        "title": f"{task} request",
        "description": api.summary,
        "required": ["inputs", *(["parameters"] if _required(api.parameters) else [])],
        "additionalProperties": False,
        "properties": {
            "inputs": _inputs(api.input),
            "parameters": _parameters(api.parameters),
            **OPTIONS,
        },
    }
    return [
        (f"{name}Request", request),
        (f"{name}Output", {"title": f"{task} output", **_output(task, api.output)}),
    ]


def _output(task: Task, output: Schema) -> Schema:
    """Return the schema of an output, which names its tier where some of a request were escalated."""
    if task not in CONFIDENCES:
        return output
    return {**output, "properties": {**output["properties"], "tier": TIER}}


def _inputs(form: Form) -> Schema:
    return {
        "description": "An input, or a list of them.",
        "oneOf": [form.schema, array(form.schema, minItems=1)],
    }


def _parameters(parameters: tuple[Parameter, ...]) -> Schema:
    return {
        "type": "object",
        "additionalProperties": False,
        "required": _required(parameters),
        "properties": {parameter.name: parameter.document() for parameter in parameters},
    }


def _required(parameters: tuple[Parameter, ...]) -> list[str]:
    return [parameter.name for parameter in parameters if parameter.required]


def _name(task: Task) -> str:
    """Return the name of a task's component schemas: text-classification becomes TextClassification."""
    return "".join(part.capitalize() for part in task.split("-"))


def _ref(name: str) -> dict[str, Any]:
    return {"$ref": f"#/components/schemas/{name}"}
