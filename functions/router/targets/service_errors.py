"""The errors that Lambda and SageMaker answer with, and those of functions and containers behind them, as failures.

A request that is answered needs nothing of it.
"""

from typing import Any

from botocore.exceptions import ClientError

from contracts.http_errors import (
    DeadlineExceeded,
    ModelFailed,
    ServingError,
    TooLarge,
    from_problem,
)
from contracts.routes import Target
from functions.router.targets.failures import (
    BY_STATUS,
    CRASHED,
    TargetFailed,
    document_of,
    failed,
    meaning_of,
    problem,
)

# The statuses by which vLLM says that a request is at fault.
OF_REQUEST = (400, 413, 422)


def client_failure(target: Target, error: ClientError) -> TargetFailed:
    said = error.response.get("Error", {})
    code, message = said.get("Code", ""), said.get("Message", "")
    if code == "ModelError":
        return _model_failure(error.response)
    # Lambda says in a field of its own which limit was reached.
    reason = str(error.response.get("Reason", ""))
    shown = "AccessDenied" if code.startswith("AccessDenied") else code or "no code"
    return failed(meaning_of(code, f"{reason} {message}"), target.tier, code=shown)


def _model_failure(response: Any) -> TargetFailed:
    """Return the failure in a container's own answer, which may not be a problem document of ours."""
    document = document_of(str(response.get("OriginalMessage", "")).encode())
    if isinstance(document, dict) and str(document.get("type", "")).startswith("urn:turnout:"):
        return problem(from_problem(document))
    status = response.get("OriginalStatusCode", "no")
    if status in OF_REQUEST:
        from functions.router.targets.vllm_stream import error_of

        if error := error_of(document, status):
            return problem(error)
    meaning = BY_STATUS.get(status, CRASHED)
    return TargetFailed(
        meaning, meaning.error(f"the gpu tier's container failed (status {status})")
    )


def function_error(document: object) -> ServingError:
    """Return the error of a function that crashed or timed out; its own message stays in its log."""
    kind, message = "", ""
    if isinstance(document, dict):
        kind, message = str(document.get("errorType", "")), str(document.get("errorMessage", ""))
    if kind == "Sandbox.Timedout" or "Task timed out" in message:
        return DeadlineExceeded("the cpu tier ran out of its time")
    if kind == "Function.ResponseSizeTooLarge":
        return TooLarge("the answer would pass the 6 MB of one answer; send fewer inputs")
    return ModelFailed("the cpu tier's function crashed; its log says why")
