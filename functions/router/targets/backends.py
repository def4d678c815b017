"""The invocation of a tier: one attempt, with a timeout of its own; what is no prediction is a TargetFailed."""

import json
import threading
import time
from collections.abc import Callable, Generator, Mapping
from contextlib import closing
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from contracts.limits import (
    BACKEND_SLACK_S,
    CONNECT_TIMEOUT_S,
    SAGEMAKER_SPARE_S,
    SAGEMAKER_WHOLE_S,
)
from contracts.prediction import PredictRequest, TierAnswer
from contracts.routes import Target
from contracts.tasks import Server
from functions.router.targets.failures import (
    CLOSED,
    ON_THE_WAY,
    UNKNOWN,
    TargetFailed,
    document_of,
    failed,
    problem,
)
from functions.router.targets.health import Condition, start_of

if TYPE_CHECKING:
    from contracts.streaming import Delta
    from functions.router.targets.streams import Bytes

Client = Any
# The deltas of a stream, and last its answer; closing it closes its connection.
Written = Generator["Delta | TierAnswer", None, None]
Sent = TypeVar("Sent")
MakeClient = Callable[[str, Config], Client]
# The read timeouts of clients, in seconds, for callers who wait less long than the tier may take. A client is too slow
# to make for each request's own time, and a thread that nobody waits for any more ends by the next of these.
STEPS_S = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512)


class Backend(Protocol):
    """A way to run a model on a tier; its errors are TargetFailed, or the ServingError that the tier answered with."""

    def predict(self, target: Target, request: PredictRequest) -> TierAnswer: ...

    def stream(self, target: Target, request: PredictRequest) -> Written: ...


EVENT_STREAM = "text/event-stream"
# Nothing has run where there is no endpoint, or no copy of the model on it.
NOT_IN_SERVICE = (Condition.MISSING, Condition.ASLEEP)


class Clients:
    """The botocore clients of one service, one per timeout, made when first needed and kept."""

    def __init__(self, service: str, make: MakeClient) -> None:
        self.service, self.make = service, make
        self.by_timeout: dict[int, Client] = {}
        self.last: Client = None
        # A session makes one client at a time, and the inputs of one request may have a thread each.
        self.lock = threading.Lock()

    def of(self, target: Target, request: PredictRequest) -> Client:
        """Return a client that never retries, and waits a little longer than a start and a run, or as its caller."""
        longest_s = start_of(target) + target.timeout_s + BACKEND_SLACK_S
        left_s = request.deadline - time.monotonic()
        timeout_s = min(next((step for step in STEPS_S if left_s <= step), longest_s), longest_s)
        with self.lock:
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
        if _is_long(request):
            return _last(self.stream(target, replace(request, stream=True)))
        answer = self._invoke(target, request)
        wanted = request.version
        if wanted in (None, answer.version) or not request.idempotent:
            return answer
        # During a canary an address has two versions, and gives a request either.
        own = self.own_address(target, str(wanted))
        return self._invoke(replace(target, address=own), request) if own else answer

    def _invoke(self, target: Target, request: PredictRequest) -> TierAnswer:
        client = self.clients.of(target, request)
        reply = _call(
            target,
            client,
            lambda: client.invoke(FunctionName=target.address, Payload=_payload(request.to_wire())),
        )
        # The payload is a stream, whose reading can time out as well.
        body = _call(target, client, lambda: reply["Payload"].read())
        document = document_of(body)
        if reply.get("FunctionError"):
            from functions.router.targets.service_errors import function_error

            raise problem(function_error(document))
        return TierAnswer.from_wire(document)

    def stream(self, target: Target, request: PredictRequest) -> Written:
        """Yield what a function writes. Which version that is shows at its end, so a wanted one is asked by itself."""
        from contracts.streaming import read_stream
        from functions.router.targets.streams import function_bytes

        if request.version:
            own = self.own_address(target, request.version)
            target = replace(target, address=own or target.address)
        client, payload = self.clients.of(target, request), _payload(request.to_wire())
        reply = _call(
            target,
            client,
            lambda: client.invoke_with_response_stream(
                FunctionName=target.address, Payload=payload
            ),
        )
        guard = partial(_call, target, client)
        with closing(function_bytes(target, reply["EventStream"], guard)) as chunks:
            yield from read_stream(chunks)

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
        if target.server is Server.VLLM:
            from functions.router.targets import vllm

            return vllm.predict(
                target, request, partial(self.open, target, request, accept=EVENT_STREAM)
            )
        if _is_long(request):
            return _last(self.stream(target, replace(request, stream=True)))
        return self._where_it_serves(target, lambda at: self._invoke(at, request))

    def stream(self, target: Target, request: PredictRequest) -> Written:
        """Yield what a container writes."""
        if target.server is Server.VLLM:
            from functions.router.targets import vllm

            yield from vllm.stream(
                target, request, partial(self.open, target, request, accept=EVENT_STREAM)
            )
            return
        from contracts.streaming import NDJSON, read_stream

        with closing(self.open(target, request, request.to_wire(), NDJSON)) as chunks:
            yield from read_stream(chunks)

    def open(
        self, target: Target, request: PredictRequest, body: Mapping[str, Any], accept: str
    ) -> "Bytes":
        """Return what a container sends for a body, once it has begun to answer."""

        from functions.router.targets.streams import container_bytes

        def send(at: Target) -> "Bytes":
            client, named = self.clients.of(at, request), _named(at, body, accept)
            reply = _call(at, client, lambda: client.invoke_endpoint_with_response_stream(**named))
            return container_bytes(at, reply["Body"], partial(_call, at, client))

        return self._where_it_serves(target, send)

    def _where_it_serves(self, target: Target, send: Callable[[Target], Sent]) -> Sent:
        """Return the result of `send` at the target's own address, or at the other one where nothing serves there."""
        own = target.address
        address = self.moved.get(own, own)
        try:
            return send(replace(target, address=address))
        except TargetFailed as failure:
            condition = failure.meaning.condition
            if condition not in NOT_IN_SERVICE:
                raise
            other = self.released(target) if address == own else own
            # An endpoint that was missing and is released has come into service in between.
            if not other or (other == address and condition is not Condition.MISSING):
                raise
        sent = send(replace(target, address=other))
        self.moved[own] = other
        return sent

    def _invoke(self, target: Target, request: PredictRequest) -> TierAnswer:
        client = self.clients.of(target, request)
        named = _named(target, request.to_wire(), "application/json")
        reply = _call(target, client, lambda: client.invoke_endpoint(**named))
        return TierAnswer.from_wire(
            document_of(_call(target, client, lambda: reply["Body"].read()))
        )


def _is_long(request: PredictRequest) -> bool:
    """Return True for a request that may take longer than SageMaker waits for a whole answer.

    A function is asked by a stream as well then: no connection is silent for minutes.
    """
    return (request.deadline_ms or 0) > (SAGEMAKER_WHOLE_S - SAGEMAKER_SPARE_S) * 1000


def _last(written: Written) -> TierAnswer:
    """Return the answer that a stream ends with."""
    with closing(written):
        return next(item for item in written if isinstance(item, TierAnswer))


def _payload(body: Mapping[str, Any]) -> bytes:
    return json.dumps(body).encode()


def _named(target: Target, body: Mapping[str, Any], accept: str) -> dict[str, Any]:
    """Return the arguments of an invocation of an endpoint."""
    return {
        "EndpointName": target.address,
        "InferenceComponentName": target.address,
        "ContentType": "application/json",
        "Accept": accept,
        "Body": _payload(body),
    }


def _call(target: Target, client: Client, send: Callable[[], Any]) -> Any:
    """Return the result of `send`; raise TargetFailed for every failure on the way to the tier."""
    try:
        return send()
    except ClientError as error:
        from functions.router.targets.service_errors import client_failure

        raise client_failure(target, error) from error
    except BotoCoreError as error:
        meaning = ON_THE_WAY.get(type(error).__name__, UNKNOWN)
        if meaning is CLOSED:
            # Lambda freezes the router between requests, so all that it has kept may be closed by now.
            client.close()
        raise failed(meaning, target.tier, seconds=target.timeout_s) from error
