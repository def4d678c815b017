"""The custom resource, as CloudFormation calls it, over moto's DynamoDB and a server that takes its answer."""

import json
import threading
from collections.abc import Iterator
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest
from botocore.exceptions import ClientError

from functions.registrar.registrar import NotReady, handler
from tests.fixtures.fake_aws import Service, create_registry_table, serving
from tests.fixtures.problems import assert_names

TABLE = "shop-registry"
PROPERTIES = {
    "Table": TABLE,
    "Model": "support-intent",
    "Tier": "cpu",
    "Version": "f00dfeed0000",
    "Digest": "f00dfeed0000" + "0" * 52,
    "Precision": "int8",
    "Task": "text-classification",
    "Address": "shop-support-intent-cpu:live",
    "Size": "23683767",
}
PHYSICAL_ID = "support-intent/cpu#f00dfeed0000"


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
            "LogicalResourceId": "Release",
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
def table(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    from moto import mock_aws

    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    with mock_aws():
        yield create_registry_table(TABLE)


@pytest.fixture(autouse=True)
def function(monkeypatch: pytest.MonkeyPatch) -> Iterator[Service]:
    """Yield Lambda's side: the function that is deployed, which answers its probe."""
    with serving(Service(body={"version": PROPERTIES["Version"]})) as service:
        monkeypatch.setenv("AWS_ENDPOINT_URL_LAMBDA", service.address)
        yield service


def releases(table: Any) -> list[str]:
    return [row["release"] for row in table.scan()["Items"]]


def test_a_release_that_is_created_is_written_down(table: Any, inbox: Inbox) -> None:
    handler(inbox.event("Create"), None)
    (row,) = table.scan()["Items"]
    assert row.pop("deployed_at") > 1_790_000_000
    assert row == {
        "model": "support-intent",
        "release": "cpu#f00dfeed0000",
        "tier": "cpu",
        "version": "f00dfeed0000",
        "digest": PROPERTIES["Digest"],
        "precision": "int8",
        "task": "text-classification",
        "address": "shop-support-intent-cpu:live",
        "size": Decimal(23683767),
    }
    assert inbox.answers == [
        {
            "Status": "SUCCESS",
            "Reason": "done",
            "PhysicalResourceId": PHYSICAL_ID,
            "StackId": "stack",
            "RequestId": "request",
            "LogicalResourceId": "Release",
        }
    ]
    assert inbox.kinds == [""]


def test_a_function_is_called_with_its_probe_before_its_row_is_written(
    table: Any, inbox: Inbox, function: Service
) -> None:
    handler(inbox.event("Create"), None)
    ((path, _, body),) = function.seen
    assert path == "/2015-03-31/functions/shop-support-intent-cpu%3Alive/invocations"
    assert body == {"probe": True}
    # A version that has a row was probed: it may be the one that CloudFormation restores after a failure.
    handler(inbox.event("Update", PhysicalResourceId=PHYSICAL_ID), None)
    assert len(function.seen) == 1
    # SageMaker has put no container in service that does not answer its probe.
    on_gpu = {**PROPERTIES, "Tier": "gpu", "Address": "shop-support-intent-gpu"}
    handler(inbox.event("Create", ResourceProperties=on_gpu), None)
    assert len(function.seen) == 1
    assert releases(table) == ["cpu#f00dfeed0000", "gpu#f00dfeed0000"]


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
    table: Any,
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
    assert releases(table) == []


def test_an_update_has_a_new_id_so_that_the_old_row_is_deleted_after_it(
    table: Any, inbox: Inbox, function: Service
) -> None:
    handler(inbox.event("Create"), None)
    function.body = {"version": "beef00000000"}
    newer = {**PROPERTIES, "Version": "beef00000000"}
    handler(inbox.event("Update", ResourceProperties=newer, PhysicalResourceId=PHYSICAL_ID), None)
    assert sorted(releases(table)) == ["cpu#beef00000000", "cpu#f00dfeed0000"]
    assert inbox.answers[-1]["PhysicalResourceId"] == "support-intent/cpu#beef00000000"
    handler(inbox.event("Delete", PhysicalResourceId=PHYSICAL_ID), None)
    assert releases(table) == ["cpu#beef00000000"]


def test_deleting_twice_or_what_was_never_there_succeeds(table: Any, inbox: Inbox) -> None:
    handler(inbox.event("Create"), None)
    for physical_id in (PHYSICAL_ID, PHYSICAL_ID, "Release", "other/cpu#1"):
        handler(inbox.event("Delete", PhysicalResourceId=physical_id), None)
    assert [answer["Status"] for answer in inbox.answers] == ["SUCCESS"] * 5
    assert releases(table) == []


def test_deleting_after_the_table_went_succeeds(table: Any, inbox: Inbox) -> None:
    table.delete()
    handler(inbox.event("Delete", PhysicalResourceId=PHYSICAL_ID), None)
    assert inbox.answers[0]["Status"] == "SUCCESS"


def test_a_failure_is_answered_so_that_nobody_waits_an_hour(table: Any, inbox: Inbox) -> None:
    table.delete()
    with pytest.raises(ClientError):
        handler(inbox.event("Create"), None)
    (answer,) = inbox.answers
    assert (answer["Status"], answer["PhysicalResourceId"]) == ("FAILED", "Release")
    assert answer["Reason"].startswith("ResourceNotFoundException: ")


def test_properties_that_lack_something_are_answered_too(table: Any, inbox: Inbox) -> None:
    with pytest.raises(KeyError):
        handler(inbox.event("Create", ResourceProperties={"Table": TABLE}), None)
    assert (inbox.answers[0]["Status"], inbox.answers[0]["Reason"]) == (
        "FAILED",
        "KeyError: 'Model'",
    )


def test_an_answer_that_is_not_taken_is_sent_again(table: Any, inbox: Inbox) -> None:
    inbox.failures = 1
    handler(inbox.event("Create"), None)
    assert [answer["Status"] for answer in inbox.answers] == ["SUCCESS"]
