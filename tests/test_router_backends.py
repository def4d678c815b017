"""Tiers asked through real boto3 clients, at servers on loopback that answer, fail or hang."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import boto3
import pytest
from botocore.config import Config

from contracts.errors import (
    DeadlineExceeded,
    ModelFailed,
    ServingError,
    TierUnavailable,
    TooLarge,
    problem,
)
from contracts.limits import (
    BACKEND_SLACK_S,
    GATEWAY_TIMEOUT_S,
    INTEGRATION_TIMEOUT_S,
    MAX_TIER_TIMEOUT_S,
    ROUTER_TIMEOUT_S,
)
from contracts.prediction import PredictRequest, TierAnswer
from contracts.tasks import Tier
from functions.router.backends import CONNECT_TIMEOUT_S, Backend, LambdaBackend, SageMakerBackend
from tests.serving import target

REQUEST = PredictRequest(inputs=("a text",), parameters={"top_k": 1})
GOOD = {"outputs": [{"label": "a"}], "version": "f00dfeed0000", "elapsed_ms": 2}
ANSWER = TierAnswer(outputs=({"label": "a"},), version="f00dfeed0000", elapsed_ms=2.0)


@dataclass(slots=True)
class Service:
    """What the server answers every request with; `seen` holds path, headers and body of each."""

    status: int = 200
    body: Any = None
    headers: dict[str, str] = field(default_factory=dict)
    hangs_s: float = 0.0
    seen: list[tuple[str, dict[str, str], Any]] = field(default_factory=list)
    address: str = ""


@contextmanager
def serving(service: Service) -> Iterator[Service]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            service.seen.append((self.path, dict(self.headers), json.loads(body)))
            time.sleep(service.hangs_s)
            raw = (
                service.body
                if isinstance(service.body, bytes)
                else json.dumps(service.body).encode()
            )
            self.send_response(service.status)
            for name, value in {"Content-Length": str(len(raw)), **service.headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(raw)

        def log_message(self, format: str, *arguments: object) -> None:
            return

    class Server(ThreadingHTTPServer):
        def handle_error(self, request: object, client_address: object) -> None:
            """A client that no longer waits is what these tests are about."""

    server = Server(("127.0.0.1", 0), Handler)
    service.address = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield service
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def client(address: str, service: str, config: Config) -> Any:
    return boto3.client(
        service,
        config=config,
        endpoint_url=address,
        region_name="us-east-1",
        aws_access_key_id="local",
        aws_secret_access_key="local",
    )


BACKENDS: dict[Tier, Callable[..., Backend]] = {Tier.CPU: LambdaBackend, Tier.GPU: SageMakerBackend}


def ask(address: str, tier: Tier = Tier.CPU, timeout_s: int = 1) -> TierAnswer:
    backend = BACKENDS[tier](partial(client, address))
    return backend.predict(target(tier, timeout_s=timeout_s), REQUEST)


def failure(service: Service, tier: Tier = Tier.CPU, timeout_s: int = 1) -> ServingError:
    with serving(service), pytest.raises(ServingError) as caught:
        ask(service.address, tier, timeout_s)
    assert len(service.seen) == 1
    return caught.value


@pytest.mark.parametrize(
    ("tier", "path"),
    [
        (Tier.CPU, "/2015-03-31/functions/the-cpu/invocations"),
        (Tier.GPU, "/endpoints/the-gpu/invocations"),
    ],
    ids=["lambda", "sagemaker"],
)
def test_a_tier_is_asked_once_in_the_words_of_the_contract(tier: Tier, path: str) -> None:
    with serving(Service(body=GOOD)) as service:
        assert ask(service.address, tier) == ANSWER
    ((asked, headers, body),) = service.seen
    assert (asked, body) == (path, {"inputs": ["a text"], "parameters": {"top_k": 1}})
    component = headers.get("X-Amzn-SageMaker-Inference-Component")
    assert component == ("the-gpu" if tier is Tier.GPU else None)


@pytest.mark.parametrize("tier", list(Tier))
def test_a_tier_that_hangs_gets_one_attempt(tier: Tier) -> None:
    error = failure(Service(body=GOOD, hangs_s=2.5), tier)
    assert isinstance(error, DeadlineExceeded)
    assert error.detail == f"the {tier} tier did not answer in 1 s"


def test_timeouts_nest_so_that_whoever_asks_is_there_to_hear_the_answer() -> None:
    waits = MAX_TIER_TIMEOUT_S + BACKEND_SLACK_S
    assert MAX_TIER_TIMEOUT_S < waits < ROUTER_TIMEOUT_S < INTEGRATION_TIMEOUT_S < GATEWAY_TIMEOUT_S
    assert CONNECT_TIMEOUT_S + waits <= ROUTER_TIMEOUT_S


@pytest.mark.parametrize("tier", list(Tier))
def test_a_tier_that_nobody_serves_cannot_be_reached(tier: Tier) -> None:
    with serving(Service()) as service:
        closed = service.address
    with pytest.raises(TierUnavailable) as caught:
        ask(closed, tier)
    assert (caught.value.detail, caught.value.retry_after_s) == (
        f"the {tier} tier cannot be reached",
        5,
    )


@pytest.mark.parametrize(
    ("payload", "kind", "detail"),
    [
        (
            {
                "errorType": "Sandbox.Timedout",
                "errorMessage": "RequestId: 1 Error: Task timed out after 1.00 seconds",
            },
            DeadlineExceeded,
            "the cpu tier ran out of its time",
        ),
        (
            {"errorMessage": "2026-11-24T00:00:00Z 1 Task timed out after 1.00 seconds"},
            DeadlineExceeded,
            "the cpu tier ran out of its time",
        ),
        (
            {
                "errorType": "Runtime.ExitError",
                "errorMessage": "RequestId: 1 Error: Runtime exited with error: signal: killed",
            },
            ModelFailed,
            "the cpu tier's function crashed; its log says why",
        ),
        (
            {
                "errorType": "Function.ResponseSizeTooLarge",
                "errorMessage": "Response payload size exceeded",
            },
            TooLarge,
            "the answer would pass the 6 MB of one answer; send fewer inputs",
        ),
        (
            {"errorType": "ValueError", "errorMessage": "secret", "stackTrace": ["secret"]},
            ModelFailed,
            "the cpu tier's function crashed; its log says why",
        ),
        (b"not json", ModelFailed, "the cpu tier's function crashed; its log says why"),
    ],
    ids=["timeout", "timeout on AWS", "killed", "large answer", "exception", "rubbish"],
)
def test_a_function_that_fails_is_told_apart(
    payload: Any, kind: type[ServingError], detail: str
) -> None:
    error = failure(Service(body=payload, headers={"X-Amz-Function-Error": "Unhandled"}))
    assert (type(error), error.detail) == (kind, detail)


@pytest.mark.parametrize(
    ("status", "code", "kind", "detail"),
    [
        (404, "ResourceNotFoundException", TierUnavailable, "the cpu tier is not deployed yet"),
        (429, "TooManyRequestsException", TierUnavailable, "the cpu tier is busy or waking up"),
        (409, "ResourceConflictException", TierUnavailable, "the cpu tier is busy or waking up"),
        (500, "ServiceException", TierUnavailable, "the cpu tier is busy or waking up"),
        (
            413,
            "RequestTooLargeException",
            TooLarge,
            "the request is over the 6 MB that the cpu tier takes",
        ),
        (
            403,
            "AccessDeniedException",
            ModelFailed,
            "the cpu tier refused to be asked (AccessDeniedException)",
        ),
    ],
)
def test_what_lambda_itself_refuses_has_its_status(
    status: int, code: str, kind: type[ServingError], detail: str
) -> None:
    error = failure(
        Service(status=status, body={"Message": "secret"}, headers={"x-amzn-ErrorType": code})
    )
    assert (type(error), error.detail) == (kind, detail)


def model_error(status: int, message: str) -> Service:
    body = {
        "Message": "Received client error",
        "OriginalStatusCode": status,
        "OriginalMessage": message,
    }
    return Service(status=424, body=body, headers={"x-amzn-ErrorType": "ModelError"})


@pytest.mark.parametrize(
    ("service", "kind", "detail"),
    [
        (model_error(413, json.dumps(problem(TooLarge("41 inputs")))), TooLarge, "41 inputs"),
        (
            model_error(503, json.dumps(problem(TierUnavailable("waiting")))),
            TierUnavailable,
            "waiting",
        ),
        (
            model_error(500, "Traceback (most recent call last)"),
            ModelFailed,
            "the gpu tier's container failed (status 500)",
        ),
        (
            model_error(500, '{"type": "about:blank"}'),
            ModelFailed,
            "the gpu tier's container failed (status 500)",
        ),
        (
            Service(
                status=400,
                body={"Message": "Endpoint x of account 1 not found."},
                headers={"x-amzn-ErrorType": "ValidationError"},
            ),
            TierUnavailable,
            "the gpu tier is not deployed yet",
        ),
        (
            Service(
                status=400,
                body={"Message": "Inference Component has no capacity to process this request."},
                headers={"x-amzn-ErrorType": "ValidationError"},
            ),
            TierUnavailable,
            "the gpu tier is busy or waking up",
        ),
        (
            Service(status=503, body={}, headers={"x-amzn-ErrorType": "ServiceUnavailable"}),
            TierUnavailable,
            "the gpu tier is busy or waking up",
        ),
    ],
    ids=[
        "our problem",
        "our problem 503",
        "a trace",
        "another problem",
        "no endpoint",
        "asleep",
        "unavailable",
    ],
)
def test_what_sagemaker_answers_is_told_apart(
    service: Service, kind: type[ServingError], detail: str
) -> None:
    error = failure(service, Tier.GPU)
    assert (type(error), error.detail) == (kind, detail)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>",
        b"[]",
        b"null",
        {"outputs": []},
        {"outputs": "x", "version": "v", "elapsed_ms": 1},
    ],
    ids=["nothing", "html", "list", "null", "no version", "wrong type"],
)
@pytest.mark.parametrize("tier", list(Tier))
def test_an_answer_that_is_none_is_a_failure_of_the_tier(tier: Tier, body: Any) -> None:
    error = failure(Service(body=body), tier)
    assert (type(error), error.detail) == (
        ModelFailed,
        "the tier did not answer in the words of the contract",
    )


def test_a_problem_in_the_answer_keeps_its_kind() -> None:
    error = failure(Service(body={"problem": problem(TooLarge("65 inputs"))}))
    assert (type(error), error.detail) == (TooLarge, "65 inputs")


def test_a_client_is_made_once_and_kept() -> None:
    made = []

    def make(service: str, config: Config) -> Any:
        made.append((service, config.read_timeout, config.retries))
        return client(opened.address, service, config)

    with serving(Service(body=GOOD)) as opened:
        backend = LambdaBackend(make)
        for timeout_s in (1, 1, 2):
            backend.predict(target(Tier.CPU, timeout_s=timeout_s), REQUEST)
    once = {"total_max_attempts": 1, "mode": "standard"}
    assert made == [("lambda", 2, once), ("lambda", 3, once)]
