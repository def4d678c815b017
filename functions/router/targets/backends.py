"""The invocation of a tier: one attempt, with a timeout below the router's own; every failure is a ServingError."""

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any, Protocol

from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, ReadTimeoutError

from contracts.http_errors import (
    DeadlineExceeded,
    ModelFailed,
    ServingError,
    TierUnavailable,
    TooLarge,
    from_problem,
)
from contracts.limits import BACKEND_SLACK_S
from contracts.prediction import PredictRequest, TierAnswer
from contracts.routes import Target

Client = Any
MakeClient = Callable[[str, Config], Client]
# With the longest timeout of a tier and its slack these are 28 s, the router's own (see `contracts.limits`).
CONNECT_TIMEOUT_S = 2
RETRY_AFTER_S = 5

# Error codes of Lambda and SageMaker for conditions that pass by themselves.
# https://docs.aws.amazon.com/lambda/latest/api/API_Invoke.html#API_Invoke_Errors
# https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_runtime_InvokeEndpoint.html
RETRYABLE = (
    "CodeArtifactUserPendingException",
    "EC2ThrottledException",
    "InternalDependencyException",
    "InternalFailure",
    "ModelNotReadyException",
    "ProvisionedConcurrencyConfigNotFoundException",
    "ResourceConflictException",
    "ResourceNotReadyException",
    "ServiceException",
    "ServiceUnavailable",
    "SnapStartNotReadyException",
    "ThrottlingException",
    "TooManyRequestsException",
)


class Backend(Protocol):
    """A way to run a model on a tier; its errors are ServingErrors."""

    def predict(self, target: Target, request: PredictRequest) -> TierAnswer: ...


class Clients:
    """The boto3 clients of one service, one per timeout, made when first needed and kept."""

    def __init__(self, service: str, make: MakeClient) -> None:
        self.service, self.make = service, make
        self.by_timeout: dict[int, Client] = {}

    def with_timeout(self, timeout_s: int) -> Client:
        """Return a client that waits a little longer than the tier's own timeout and never retries."""
        if timeout_s not in self.by_timeout:
            # A retry would start when the caller's time is over, and run the model a second time for nobody.
            config = Config(
                connect_timeout=CONNECT_TIMEOUT_S,
                read_timeout=timeout_s + BACKEND_SLACK_S,
                retries={"total_max_attempts": 1, "mode": "standard"},
            )
            self.by_timeout[timeout_s] = self.make(self.service, config)
        return self.by_timeout[timeout_s]


class LambdaBackend:
    """The Lambda function that a target's address names."""

    def __init__(self, make: MakeClient) -> None:
        self.clients = Clients("lambda", make)

    def predict(self, target: Target, request: PredictRequest) -> TierAnswer:
        client = self.clients.with_timeout(target.timeout_s)
        payload = json.dumps(request.to_wire()).encode()
        reply = _call(target, lambda: client.invoke(FunctionName=target.address, Payload=payload))
        # The payload is a stream, whose reading can time out as well.
        body = _call(target, lambda: reply["Payload"].read())
        document = _document(body)
        if reply.get("FunctionError"):
            raise _function_error(document)
        return TierAnswer.from_wire(document)


class SageMakerBackend:
    """The SageMaker inference component that a target's address names, on the endpoint of the same name.

    While a deployment makes an endpoint of another name, the one before it serves: `released` returns its name.
    """

    def __init__(self, make: MakeClient, released: Callable[[Target], str]) -> None:
        self.clients, self.released = Clients("sagemaker-runtime", make), released
        # By the addresses of targets, those that answered in their place.
        self.moved: dict[str, str] = {}

    def predict(self, target: Target, request: PredictRequest) -> TierAnswer:
        own = target.address
        address = self.moved.get(own, own)
        try:
            return self._invoke(replace(target, address=address), request)
        except TierUnavailable as error:
            other = ""
            if isinstance(error.__cause__, ClientError) and _is_not_in_service(error.__cause__):
                other = self.released(target) if address == own else own
            if other in ("", address):
                raise
        answer = self._invoke(replace(target, address=other), request)
        self.moved[own] = other
        return answer

    def _invoke(self, target: Target, request: PredictRequest) -> TierAnswer:
        client = self.clients.with_timeout(target.timeout_s)
        payload = json.dumps(request.to_wire()).encode()
        reply = _call(
            target,
            lambda: client.invoke_endpoint(
                EndpointName=target.address,
                InferenceComponentName=target.address,
                ContentType="application/json",
                Accept="application/json",
                Body=payload,
            ),
        )
        return TierAnswer.from_wire(_document(_call(target, lambda: reply["Body"].read())))


def _call(target: Target, send: Callable[[], Any]) -> Any:
    """Return the result of `send`; raise a ServingError for every failure on the way to the tier."""
    try:
        return send()
    except ClientError as error:
        raise _client_error(target, error) from error
    except ReadTimeoutError as error:
        raise DeadlineExceeded(
            f"the {target.tier} tier did not answer in {target.timeout_s} s"
        ) from error
    except BotoCoreError as error:
        detail = f"the {target.tier} tier cannot be reached"
        raise TierUnavailable(detail, retry_after_s=RETRY_AFTER_S) from error


# SageMaker reports a missing endpoint and a component without instances as a ValidationError: only its text tells them
# apart.
def _is_missing(error: ClientError) -> bool:
    code, message = _said(error)
    return (
        code == "ResourceNotFoundException" or "Could not find" in message or "not found" in message
    )


def _is_not_in_service(error: ClientError) -> bool:
    """Return true if there is no endpoint, or no copy of the model on it, so that nothing has run."""
    return _is_missing(error) or "no capacity" in _said(error)[1]


def _said(error: ClientError) -> tuple[str, str]:
    said = error.response.get("Error", {})
    return said.get("Code", ""), said.get("Message", "")


def _client_error(target: Target, error: ClientError) -> ServingError:
    code, _ = _said(error)
    if code == "ModelError":
        return _model_error(error.response)
    if code == "RequestTooLargeException":
        return TooLarge(f"the request is over the 6 MB that the {target.tier} tier takes")
    if _is_missing(error):
        detail = f"the {target.tier} tier is not deployed yet"
    elif code in RETRYABLE or _is_not_in_service(error):
        detail = f"the {target.tier} tier is busy or waking up"
    elif code.startswith("AccessDenied"):
        return ModelFailed(f"the router may not invoke the {target.tier} tier (AccessDenied)")
    else:
        return ModelFailed(f"the {target.tier} tier cannot be invoked ({code or 'no code'})")
    return TierUnavailable(detail, retry_after_s=RETRY_AFTER_S)


def _model_error(response: Any) -> ServingError:
    """Return the error in a container's own answer, which may not be a problem document of ours."""
    document = _document(str(response.get("OriginalMessage", "")).encode())
    if isinstance(document, dict) and str(document.get("type", "")).startswith("urn:turnout:"):
        return from_problem(document)
    status = response.get("OriginalStatusCode", "no")
    return ModelFailed(f"the gpu tier's container failed (status {status})")


def _function_error(document: object) -> ServingError:
    """Return the error of a function that crashed or timed out; its own message stays in its log."""
    kind, message = "", ""
    if isinstance(document, dict):
        kind, message = str(document.get("errorType", "")), str(document.get("errorMessage", ""))
    if kind == "Sandbox.Timedout" or "Task timed out" in message:
        return DeadlineExceeded("the cpu tier ran out of its time")
    if kind == "Function.ResponseSizeTooLarge":
        return TooLarge("the answer would pass the 6 MB of one answer; send fewer inputs")
    return ModelFailed("the cpu tier's function crashed; its log says why")


def _document(body: bytes) -> object:
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return None
