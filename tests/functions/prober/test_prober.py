"""The custom resource, as CloudFormation calls it, over moto's Systems Manager and a server that takes its answer."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any
from urllib.error import HTTPError

import pytest
from botocore.exceptions import ClientError

from functions.prober.prober import MAX_ATTEMPTS, NotReady, handler, respond
from tests.fixtures.fake_aws import Service, put_release, serving
from tests.fixtures.problems import assert_names

RELEASE = "/turnout/shop/support-intent/cpu"
PROPERTIES = {
    "Address": "shop-support-intent-cpu:live",
    "Version": "f00dfeed0000",
    "Release": RELEASE,
}


class Inbox:
    """CloudFormation's side: it takes responses, after a number of failures."""

    def __init__(self) -> None:
        self.answers: list[dict[str, Any]] = []
        self.kinds: list[str | None] = []
        self.failures = 0
        inbox = self

        class Handler(BaseHTTPRequestHandler):
            def do_PUT(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                if inbox.failures:
                    inbox.failures -= 1
                    self.send_error(503)
                    return
                inbox.answers.append(json.loads(body))
                inbox.kinds.append(self.headers["Content-Type"])
                self.send_response(200)
                self.end_headers()

            def log_message(self, format: str, *arguments: object) -> None:
                return

        self.server = HTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/answer"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def event(self, kind: str, **changes: Any) -> dict[str, Any]:
        return {
            "RequestType": kind,
            "ResponseURL": self.url,
            "StackId": "stack",
            "RequestId": "request",
            "LogicalResourceId": "Probe",
            "ResourceType": "Custom::TurnoutProbe",
            "ResourceProperties": {"ServiceToken": "arn", **PROPERTIES},
            **changes,
        }


@pytest.fixture
def inbox() -> Iterator[Inbox]:
    inbox = Inbox()
    yield inbox
    inbox.server.shutdown()
    inbox.server.server_close()


@pytest.fixture
def ssm(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    from moto import mock_aws

    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    with mock_aws():
        yield


@pytest.fixture(autouse=True)
def function(monkeypatch: pytest.MonkeyPatch) -> Iterator[Service]:
    """Yield Lambda's side: the function that is deployed, which answers its probe."""
    with serving(Service(body={"version": PROPERTIES["Version"]})) as service:
        monkeypatch.setenv("AWS_ENDPOINT_URL_LAMBDA", service.address)
        yield service


def test_a_function_is_called_with_its_probe(ssm: Any, inbox: Inbox, function: Service) -> None:
    handler(inbox.event("Create"), None)
    ((path, _, body),) = function.seen
    assert path == "/2015-03-31/functions/shop-support-intent-cpu%3Alive/invocations"
    assert body == {"probe": True}
    assert inbox.answers == [
        {
            "Status": "SUCCESS",
            "Reason": "done",
            "PhysicalResourceId": "Probe",
            "StackId": "stack",
            "RequestId": "request",
            "LogicalResourceId": "Probe",
        }
    ]
    assert inbox.kinds == [""]


def test_a_version_that_was_released_is_not_asked_again(
    ssm: Any, inbox: Inbox, function: Service
) -> None:
    """It may be the one that CloudFormation restores after a failure."""
    put_release(RELEASE, version=PROPERTIES["Version"])
    handler(inbox.event("Update", PhysicalResourceId="Probe"), None)
    assert function.seen == []
    put_release(RELEASE, version="0ld000000000")
    handler(inbox.event("Update", PhysicalResourceId="Probe"), None)
    assert len(function.seen) == 1
    assert [answer["PhysicalResourceId"] for answer in inbox.answers] == ["Probe"] * 2


PROBLEM = {"code": "probe_failed", "detail": "support-intent: the probe is answered otherwise"}
CRASH = {"errorType": "Runtime.ExitError", "errorMessage": "exit status 1"}


@pytest.mark.parametrize(
    ("body", "headers", "things"),
    [
        ({"problem": PROBLEM}, {}, ("probe_failed", PROBLEM["detail"])),
        (CRASH, {"X-Amz-Function-Error": "Unhandled"}, ("when it starts", "exit status 1", "log")),
        ({"version": "0ld000000000"}, {}, ("0ld000000000", "f00dfeed0000", "deploy it again")),
    ],
    ids=["probe", "crash", "another version"],
)
def test_a_function_that_does_not_answer_its_probe_fails_the_deployment(
    ssm: Any,
    inbox: Inbox,
    function: Service,
    body: dict[str, Any],
    headers: dict[str, str],
    things: tuple[str, ...],
) -> None:
    function.body, function.headers = body, headers
    with pytest.raises(NotReady):
        handler(inbox.event("Create"), None)
    (answer,) = inbox.answers
    assert answer["Status"] == "FAILED"
    assert_names(answer["Reason"], ("NotReady: shop-support-intent-cpu:live", *things))


def test_a_deletion_succeeds_and_asks_nobody(inbox: Inbox, function: Service) -> None:
    function.body = CRASH
    handler(inbox.event("Delete", PhysicalResourceId="Probe"), None)
    assert (inbox.answers[0]["Status"], function.seen) == ("SUCCESS", [])


def test_a_failure_is_answered_so_that_nobody_waits(
    ssm: Any, inbox: Inbox, function: Service
) -> None:
    function.status, function.body = 404, {"message": "Function not found"}
    function.headers = {"x-amzn-errortype": "ResourceNotFoundException"}
    with pytest.raises(ClientError):
        handler(inbox.event("Create"), None)
    (answer,) = inbox.answers
    assert (answer["Status"], answer["PhysicalResourceId"]) == ("FAILED", "Probe")
    assert answer["Reason"].startswith("ResourceNotFoundException: ")


def test_properties_that_lack_something_are_answered_too(ssm: Any, inbox: Inbox) -> None:
    with pytest.raises(KeyError):
        handler(inbox.event("Create", ResourceProperties={"Version": "1"}), None)
    assert (inbox.answers[0]["Status"], inbox.answers[0]["Reason"]) == (
        "FAILED",
        "KeyError: 'Address'",
    )


def test_an_answer_that_is_not_taken_is_sent_again(ssm: Any, inbox: Inbox) -> None:
    inbox.failures = 1
    handler(inbox.event("Create"), None)
    assert [answer["Status"] for answer in inbox.answers] == ["SUCCESS"]


def test_the_last_of_a_few_attempts_still_counts(inbox: Inbox) -> None:
    inbox.failures = MAX_ATTEMPTS - 1
    waits: list[float] = []
    respond(inbox.event("Create"), "Probe", "SUCCESS", "", waits.append)
    assert (len(inbox.answers), waits) == (1, [1, 2, 3])


def test_an_answer_that_is_never_taken_is_an_error_after_a_few_attempts(inbox: Inbox) -> None:
    inbox.failures = MAX_ATTEMPTS
    waits: list[float] = []
    with pytest.raises(HTTPError, match="503"):
        respond(inbox.event("Create"), "Probe", "SUCCESS", "", waits.append)
    assert (inbox.answers, inbox.failures, waits) == ([], 0, [1, 2, 3])
