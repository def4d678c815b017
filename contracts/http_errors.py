"""The errors that are answered over HTTP: each has a status, and its body is an RFC 9457 problem document.

`problem_document` makes that body. Problems of `models.toml` and of sources, which no request has to do with, are in
`contracts/problems.py`.

TurnoutError
└── ServingError            500
    ├── MalformedRequest    400  the body is not JSON text, or not read alike by everyone
    ├── Unauthorized        401  no key, or an unknown one
    ├── UnknownModel        404  no such model
    ├── TooLarge            413  more than any tier of the model takes
    ├── UnsupportedEncoding 415  a body compressed in a way that is not read
    ├── InvalidInput        422  JSON, but not a valid request
    ├── ModelFailed         502  the tier failed, or its answer is not one of the contract
    ├── TierUnavailable     503  the tier cannot be reached now; try again
    ├── ProbeFailed         503  the tier answers its probe otherwise than when the model was built
    └── DeadlineExceeded    504  the tier did not answer in time
"""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from contracts.errors import RequestProblem as RequestProblem
from contracts.errors import ServingError as ServingError

PROBLEM_JSON = "application/problem+json"
# The longest time that a tier's own answer may ask callers to wait, in seconds.
MAX_RETRY_AFTER_S = 900
# The caller chooses the keys of a request, so a response must not repeat them at any length.
MAX_SHOWN_CHARS = 200
PROBLEM_TYPE = "urn:turnout:problem:"


def shown(text: str) -> str:
    """Return a text of the caller's, safe to send back: cut, and half surrogates as `\\ud800`, since UTF-8 has none."""
    if len(text) > MAX_SHOWN_CHARS:
        text = text[:MAX_SHOWN_CHARS] + "…"
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def pointer(*keys: str) -> str:
    """Return the JSON pointer (RFC 6901) to a place, safe to send back whatever keys the caller chose."""
    # "~" is escaped first, because the escape of "/" contains one.
    return shown("".join("/" + key.replace("~", "~0").replace("/", "~1") for key in keys))


class MalformedRequest(ServingError):
    """The body is not JSON text in UTF-8, or repeats a key, or has a number that no float64 holds."""

    status = 400
    code = "malformed_request"
    title = "Malformed request"


class Unauthorized(ServingError):
    """The request has no key, or an unknown one."""

    status = 401
    code = "unauthorized"
    title = "Unauthorized"


class UnknownModel(ServingError):
    """No model of that name is deployed."""

    status = 404
    code = "unknown_model"
    title = "Unknown model"


class TooLarge(ServingError):
    """The request is larger than any tier of the model takes.

    Raised for a body by `contracts/request_body.py`, for inputs by `functions/router/deciding/rules.py` and
    `functions/inference/engine.py`, for a tier's own limits by `functions/router/targets/backends.py`.
    """

    status = 413
    code = "too_large"
    title = "Too large"


class UnsupportedEncoding(ServingError):
    """The body is compressed in another way than gzip."""

    status = 415
    code = "unsupported_encoding"
    title = "Unsupported content encoding"


class InvalidInput(ServingError):
    """The body is JSON, but not a valid request."""

    status = 422
    code = "invalid_input"
    title = "Invalid input"


class ModelFailed(ServingError):
    """The tier crashed, or its answer is not one of the contract."""

    status = 502
    code = "model_failed"
    title = "Model failed"


class TierUnavailable(ServingError):
    """The tier cannot be reached now; the same request may succeed later."""

    status = 503
    code = "tier_unavailable"
    title = "Tier unavailable"


class ProbeFailed(ServingError):
    """The tier answers its probe otherwise than when the model was built, so it must not serve."""

    status = 503
    code = "probe_failed"
    title = "Probe failed"


class DeadlineExceeded(ServingError):
    """The tier did not answer in time."""

    status = 504
    code = "deadline_exceeded"
    title = "Deadline exceeded"


# A tier sends an error as a document, of which the router makes the same class again.
ERRORS: dict[str, type[ServingError]] = {
    error.code: error
    for error in (
        ServingError,
        MalformedRequest,
        Unauthorized,
        UnknownModel,
        TooLarge,
        UnsupportedEncoding,
        InvalidInput,
        ModelFailed,
        TierUnavailable,
        ProbeFailed,
        DeadlineExceeded,
    )
}


def problem_document(error: ServingError) -> dict[str, Any]:
    """Return the error as an RFC 9457 problem document; `errors` lists the problems of a request.

    `retry_after_s` says what the header Retry-After does, which not every answer has room for.
    """
    document: dict[str, Any] = {
        "type": PROBLEM_TYPE + error.code.replace("_", "-"),
        "title": error.title,
        "status": error.status,
        "detail": error.detail,
        "code": error.code,
    }
    if error.problems:
        document["errors"] = [{"pointer": p.pointer, "detail": p.detail} for p in error.problems]
    if error.retry_after_s:
        document["retry_after_s"] = error.retry_after_s
    return document


def status_document(status: int, detail: str) -> dict[str, Any]:
    """Return the problem document of a status that says all: it has no type of its own (RFC 9457, section 4.2.1)."""
    known = HTTPStatus(status)
    return {
        "type": "about:blank",
        "title": known.phrase,
        "status": status,
        "detail": detail,
        "code": known.name.lower(),
    }


def from_problem(document: Mapping[str, Any]) -> ServingError:
    """Return the error that a tier sent as a problem document; ModelFailed if it is none of ours."""
    # The type identifies a problem, and not our own `code` (RFC 9457, section 3.1.1).
    code = str(document.get("type", "")).removeprefix(PROBLEM_TYPE).replace("-", "_")
    kind = ERRORS.get(code, ModelFailed)
    problems = [
        RequestProblem(pointer=str(p.get("pointer", "")), detail=str(p.get("detail", "")))
        for p in document.get("errors", ())
        if isinstance(p, Mapping)
    ]
    told = document.get("retry_after_s")
    wait_s = told if type(told) is int and 0 < told <= MAX_RETRY_AFTER_S else None
    detail = str(document.get("detail", "the tier gave no reason"))
    return kind(detail, problems=problems, retry_after_s=wait_s)
