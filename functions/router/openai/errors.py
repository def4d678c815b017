"""Errors in OpenAI's shape: `{"error": {"message", "type", "param", "code"}}`, with `status` and `retry_after_s` added.

https://platform.openai.com/docs/guides/error-codes
"""

from collections.abc import Mapping
from typing import Any

from starlette.responses import JSONResponse

from contracts.errors import RequestProblem
from contracts.http_errors import InvalidInput, ServingError, TooLarge, Unauthorized, UnknownModel

# Its API knows neither 413 nor 422 for a request that is at fault, and its clients no class of theirs for them.
STATUSES: Mapping[str, int] = {InvalidInput.code: 400, TooLarge.code: 400}
# The codes that its clients look at; all others are ours.
CODES: Mapping[str, str] = {
    Unauthorized.code: "invalid_api_key",
    UnknownModel.code: "model_not_found",
    InvalidInput.code: "invalid_value",
}


def refused(param: str, detail: str) -> InvalidInput:
    """Return the error for a key of a request."""
    problem = RequestProblem(pointer=f"/{param}", detail=detail)
    return InvalidInput(f"{param}: {detail}", problems=[problem])


def error_response(error: ServingError, names: Mapping[str, str]) -> JSONResponse:
    """Return an error in OpenAI's shape; `names` are those of its keys by the pointers of ours."""
    status = _status(error)
    headers = {}
    if error.retry_after_s:
        headers["Retry-After"] = str(error.retry_after_s)
    if status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    return JSONResponse({"error": document_of(error, names)}, status, headers=headers)


def _status(error: ServingError) -> int:
    return STATUSES.get(error.code, error.status)


def document_of(error: ServingError, names: Mapping[str, str]) -> dict[str, Any]:
    """Return what an error in OpenAI's shape says."""
    detail, param = str(error), None
    if error.problems:
        place = error.problems[0].pointer
        param = _name(place, names)
        detail = detail.replace(f"{place}: ", f"{param}: ", 1)
    document = {
        "message": detail,
        "type": "invalid_request_error" if _status(error) < 500 else "server_error",
        "param": param,
        "code": CODES.get(error.code, error.code),
        # Where an answer has begun, or is kept alive, its status and its headers are sent before the error is known.
        "status": _status(error),
    }
    return document | ({"retry_after_s": error.retry_after_s} if error.retry_after_s else {})


def _name(place: str, names: Mapping[str, str]) -> str:
    """Return the name of a key in OpenAI's dialect: /inputs/3 is an item of its prompt or input."""
    longest = max((known for known in names if place.startswith(known)), key=len, default="")
    rest = place.removeprefix(longest) if longest else place
    return names.get(longest, "") + rest if longest else place.removeprefix("/")
