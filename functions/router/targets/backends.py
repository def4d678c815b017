"""The invocation of a tier: one attempt, with a timeout of its own; what is no prediction is a TargetFailed."""

import json
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any, Protocol

from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from contracts.http_errors import (
    DeadlineExceeded,
    ModelFailed,
    ServingError,
    TooLarge,
    from_problem,
)
from contracts.limits import BACKEND_SLACK_S, CONNECT_TIMEOUT_S
from contracts.prediction import PredictRequest, TierAnswer
from contracts.routes import Target
from functions.router.targets.failures import (
    BY_STATUS,
    CLOSED,
    CRASHED,
    ON_THE_WAY,
    UNKNOWN,
    TargetFailed,
    failed,
    meaning_of,
    problem,
)
from functions.router.targets.health import Condition

Client = Any
MakeClient = Callable[[str, Config], Client]
# The read timeouts of clients, in seconds, for callers who wait less long than the tier may take. A client is too slow
# to make for each request's own time, and a thread that nobody waits for any more ends by the next of these.
STEPS_S = (1, 2, 4, 8, 16)


class Backend(Protocol):
    """A way to run a model on a tier; its errors are TargetFailed, or the ServingError that the tier answered with."""

    def predict(self, target: Target, request: PredictRequest) -> TierAnswer: ...


# The statuses by which vLLM says that a request is at fault.
OF_REQUEST = (400, 413, 422)
# Nothing has run where there is no endpoint, or no copy of the model on it.
NOT_IN_SERVICE = (Condition.MISSING, Condition.ASLEEP)


class Clients:
    """The botocore clients of one service, one per timeout, made when first needed and kept."""

    def __init__(self, service: str, make: MakeClient) -> None:
        self.service, self.make = service, make
        self.by_timeout: dict[int, Client] = {}
        self.last: Client = None

    def of(self, target: Target, request: PredictRequest) -> Client:
        """Return a client that never retries, and waits a little longer than the tier's timeout or the caller."""
        longest_s = target.timeout_s + BACKEND_SLACK_S
        left_s = request.deadline - time.monotonic()
        timeout_s = min(next((step for step in STEPS_S if left_s <= step), longest_s), longest_s)
        if timeout_s not in self.by_timeout:
            # Whether to send it again is decided in `answering`, where the caller's time is known.
            config = Config(
                connect_timeout=CONNECT_TIMEOUT_S,
                read_timeout=timeout_s,
                retries={"total_max_attempts": 1, "mode": "standard"},
            )
            self.by_timeout[timeout_s] = self.make(self.service, config)
        self.last = self.by_timeout[timeout_s]
        return self.last


class LambdaBackend:
    """The Lambda function that a target's address names; `own_address` returns that of one of its versions."""

    def __init__(
        self,
        make: MakeClient,
        own_address: Callable[[Target, str], str] = lambda target, version: "",
    ) -> None:
        self.clients, self.own_address = Clients("lambda", make), own_address

    def predict(self, target: Target, request: PredictRequest) -> TierAnswer:
        answer = self._invoke(target, request)
        wanted = request.version
        if wanted in (None, answer.version) or not request.idempotent:
            return answer
        # During a canary an address has two versions, and gives a request either.
        own = self.own_address(target, str(wanted))
        return self._invoke(replace(target, address=own), request) if own else answer

    def _invoke(self, target: Target, request: PredictRequest) -> TierAnswer:
        client = self.clients.of(target, request)
        payload = json.dumps(request.to_wire()).encode()
        reply = _call(
            target, client, lambda: client.invoke(FunctionName=target.address, Payload=payload)
        )
        # The payload is a stream, whose reading can time out as well.
        body = _call(target, client, lambda: reply["Payload"].read())
        document = _document(body)
        if reply.get("FunctionError"):
            raise problem(_function_error(document))
        return TierAnswer.from_wire(document)

    def send(self, function: str, payload: bytes) -> None:
        """Have a function run that nobody waits for, on the connection of the last answer."""
        self.clients.last.invoke(FunctionName=function, Payload=payload, InvocationType="Event")


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
        except TargetFailed as failure:
            condition = failure.meaning.condition
            if condition not in NOT_IN_SERVICE:
                raise
            other = self.released(target) if address == own else own
            # An endpoint that was missing and is released has come into service in between.
            if not other or (other == address and condition is not Condition.MISSING):
                raise
        answer = self._invoke(replace(target, address=other), request)
        self.moved[own] = other
        return answer

    def _invoke(self, target: Target, request: PredictRequest) -> TierAnswer:
        client = self.clients.of(target, request)
        payload = json.dumps(request.to_wire()).encode()
        reply = _call(
            target,
            client,
            lambda: client.invoke_endpoint(
                EndpointName=target.address,
                InferenceComponentName=target.address,
                ContentType="application/json",
                Accept="application/json",
                Body=payload,
            ),
        )
        return TierAnswer.from_wire(_document(_call(target, client, lambda: reply["Body"].read())))


def _call(target: Target, client: Client, send: Callable[[], Any]) -> Any:
    """Return the result of `send`; raise TargetFailed for every failure on the way to the tier."""
    try:
        return send()
    except ClientError as error:
        raise _client_failure(target, error) from error
    except BotoCoreError as error:
        meaning = ON_THE_WAY.get(type(error).__name__, UNKNOWN)
        if meaning is CLOSED:
            # Lambda freezes the router between requests, so all that it has kept may be closed by now.
            client.close()
        raise failed(meaning, target.tier, seconds=target.timeout_s) from error


def _client_failure(target: Target, error: ClientError) -> TargetFailed:
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
    document = _document(str(response.get("OriginalMessage", "")).encode())
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
