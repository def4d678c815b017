"""A REST API in front of a function that streams: its routes, events, limits and error bodies."""

import base64
import http.client
import json
import math
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import boto3
import pytest
from moto import mock_aws

from local.certificate import CA_FILE, HOST, Certificates
from local.control.data_plane import ACCOUNT
from local.gateway import Gateway, GatewayServer
from local.permissions.errors import AccessDenied
from local.rest.events import PRELUDE_BYTES, PRELUDE_END
from local.rest.gateway import Broken, Passing

FUNCTION = f"arn:aws:lambda:us-east-1:{ACCOUNT}:function:f:live"
URI = f"arn:aws:apigateway:us-east-1:lambda:path/2021-11-15/functions/{FUNCTION}/"
PRELUDE = json.dumps({"statusCode": 201, "headers": {"X-A": "b"}, "cookies": ["s=1"]}).encode()
OTHER = Exception("of the function")


class Function:
    """A function that sends its steps, waits for events among them, and raises exceptions."""

    def __init__(self) -> None:
        self.steps: list[Any] = []
        self.events: list[Any] = []
        self.ended = threading.Event()

    def stream(self, arn: str, payload: bytes) -> Iterator[bytes]:
        assert arn == FUNCTION
        self.ended.clear()
        self.events.append(json.loads(payload))
        for step in self.steps:
            if isinstance(step, Exception):
                raise step
            if isinstance(step, threading.Event):
                assert step.wait(20)
            else:
                yield step
        self.ended.set()


class Api:
    """A REST API in moto, behind the local gateway, with the checks of its permission."""

    def __init__(self, folder: Path, function: Function) -> None:
        self.function, self.checked = function, list[str]()
        self.allowed = True
        self.folder = folder
        self.front: Any = None
        client = self.client = boto3.client("apigateway", region_name="us-east-1")
        made = client.create_rest_api(name="a")
        self.id, root = made["id"], made["rootResourceId"]
        binary = {"op": "add", "path": "/binaryMediaTypes", "value": "application/octet-stream"}
        client.update_rest_api(restApiId=self.id, patchOperations=[binary])
        greedy = client.create_resource(restApiId=self.id, parentId=root, pathPart="{proxy+}")
        for resource in (root, greedy["id"]):
            place = {"restApiId": self.id, "resourceId": resource, "httpMethod": "ANY"}
            client.put_method(**place, authorizationType="NONE")
            client.put_integration(
                **place, type="AWS_PROXY", integrationHttpMethod="POST", timeoutInMillis=1000,
                uri=f"{URI}response-streaming-invocations",
            )  # fmt: skip
        client.create_deployment(restApiId=self.id, stageName="live")

    def check(self, route: str, arn: str) -> None:
        self.checked.append(route)
        if not self.allowed:
            raise AccessDenied("no permission")

    def throttle(self, rate: float, burst: int) -> None:
        limits = (("rateLimit", rate), ("burstLimit", burst))
        self.client.update_stage(
            restApiId=self.id,
            stageName="live",
            patchOperations=[
                {"op": "replace", "path": f"/*/*/throttling/{name}", "value": str(value)}
                for name, value in limits
            ],
        )

    @contextmanager
    def asked(self, path: str, body: bytes = b"", **headers: str) -> Iterator[Any]:
        """Send a request, and yield the response as it comes."""
        context = ssl.create_default_context(cafile=str(self.folder / CA_FILE))
        connection = http.client.HTTPSConnection(HOST, self.port, context=context, timeout=30)
        try:
            connection.request("POST", path, body, headers)
            yield connection.getresponse()
        finally:
            connection.close()

    def answer(self, path: str, body: bytes = b"", **headers: str) -> tuple[int, Any]:
        with self.asked(path, body, **headers) as response:
            return response.status, json.loads(response.read())

    @property
    def base(self) -> str:
        return f"/_aws/execute-api/{self.id}/live"

    port = 0


@pytest.fixture
def api(tmp_path: Path) -> Iterator[Api]:
    with mock_aws():
        made = Api(tmp_path, Function())
        gateway = Gateway(made.check, lambda arn, body: None, tmp_path, stream=made.function.stream)  # type: ignore[arg-type, return-value]
        server = GatewayServer(gateway, port=0, certificate=Certificates(tmp_path).front())
        made.port = server.start()
        yield made
        server.stop()


def test_an_answer_is_passed_on_as_it_comes(api: Api) -> None:
    go_on = threading.Event()
    api.function.steps = [
        PRELUDE[:9],
        PRELUDE[9:] + PRELUDE_END[:3],
        PRELUDE_END[3:] + b"a",
        go_on,
        b"b",
    ]
    with api.asked(f"{api.base}/v1/x") as response:
        named = [(name.lower(), value) for name, value in response.getheaders()]
        assert (response.status, response.read1(1)) == (201, b"a")
        assert {("x-a", "b"), ("set-cookie", "s=1")} <= set(named)
        assert not go_on.is_set()
        go_on.set()
        assert response.read() == b"b"
    assert api.checked == [f"{api.id}/live/POST/{{proxy+}}"]


def test_an_event_is_shaped_as_a_rest_apis(api: Api) -> None:
    api.function.steps = [PRELUDE + PRELUDE_END + b"{}"]
    api.answer(f"{api.base}/a%20b/c?x=1&x=2&y=", "grüße".encode(), **{"X-Twice": "1"})
    (event,) = api.function.events
    assert (event["resource"], event["path"], event["httpMethod"]) == (
        "/{proxy+}",
        "/a%20b/c",
        "POST",
    )
    assert event["multiValueQueryStringParameters"] == {"x": ["1", "2"], "y": [""]}
    assert event["queryStringParameters"] == {"x": "2", "y": ""}
    assert (event["multiValueHeaders"]["x-twice"], event["headers"]["x-twice"]) == (["1"], "1")
    assert (event["body"], event["isBase64Encoded"]) == ("grüße", False)
    assert event["pathParameters"] == {"proxy": "a%20b/c"}
    context = event["requestContext"]
    assert (context["stage"], context["path"]) == ("live", "/live/a%20b/c")
    assert (context["identity"]["sourceIp"], len(context["requestId"])) == ("127.0.0.1", 32)


@pytest.mark.parametrize(
    ("kind", "body", "is_base64"),
    [
        ("application/octet-stream", base64.b64encode(b"\xff\0").decode(), True),
        ("application/json", "\ufffd\0", False),
    ],
)
def test_bytes_are_kept_of_the_types_that_the_api_names(
    api: Api, kind: str, body: str, is_base64: bool
) -> None:
    api.function.steps = [PRELUDE + PRELUDE_END + b"{}"]
    api.answer(f"{api.base}/x", b"\xff\0", **{"Content-Type": kind})
    assert [(one["body"], one["isBase64Encoded"]) for one in api.function.events] == [
        (body, is_base64)
    ]


@pytest.mark.parametrize(
    ("steps", "status", "message"),
    [
        ([], 502, "Internal server error"),
        ([b"no prelude"], 502, "Internal server error"),
        ([b"{" + PRELUDE_END], 502, "Internal server error"),
        ([b"{}" + PRELUDE_END], 502, "Internal server error"),
        ([b" " * (PRELUDE_BYTES + 1), PRELUDE + PRELUDE_END], 502, "Internal server error"),
        ([Broken()], 502, "Internal server error"),
        ([OTHER], 502, "Internal server error"),
        ([threading.Event()], 504, "Endpoint request timed out"),
    ],
    ids=["nothing", "text", "rubbish", "no status", "long", "throttled", "failed", "late"],
)
def test_a_function_that_does_not_begin_an_answer_is_answered_for(
    api: Api, steps: list[Any], status: int, message: str
) -> None:
    api.function.steps = steps
    assert api.answer(f"{api.base}/x") == (status, {"message": message})
    for step in steps:
        if isinstance(step, threading.Event):
            step.set()


@pytest.mark.parametrize("ends", [Broken(), threading.Event()], ids=["fails", "late"])
def test_an_answer_that_breaks_off_ends_its_connection(api: Api, ends: Any) -> None:
    api.function.steps = [PRELUDE + PRELUDE_END + b"a", ends]
    with api.asked(f"{api.base}/x") as response, pytest.raises(http.client.IncompleteRead):
        response.read()
    if isinstance(ends, threading.Event):
        ends.set()


def test_a_caller_who_leaves_does_not_stop_the_function(api: Api) -> None:
    go_on = threading.Event()
    api.function.steps = [PRELUDE + PRELUDE_END + b"a", go_on, b"b"]
    with api.asked(f"{api.base}/x") as response:
        assert response.read1(1) == b"a"
    go_on.set()
    assert api.function.ended.wait(20)


def test_the_gateway_refuses_what_it_does_not_pass_on(api: Api) -> None:
    api.function.steps = [PRELUDE + PRELUDE_END + b"{}"]
    forbidden = (403, {"message": "Forbidden"})
    assert api.answer("/_aws/execute-api/none/live/x") == forbidden
    assert api.answer(f"/_aws/execute-api/{api.id}/other/x") == forbidden
    assert api.answer(f"{api.base}/x", b"x" * (11 * 2**20)) == (
        413,
        {"message": "Request Too Long"},
    )
    assert api.answer(f"{api.base}/x", b"x" * (7 * 2**20)) == (413, {"message": "Request Too Long"})
    api.allowed = False
    assert api.answer(f"{api.base}/x") == (500, {"message": "Internal server error"})
    api.throttle(0.001, 1)
    statuses = [api.answer(f"{api.base}/x")[0] for _ in range(2)]
    assert statuses == [500, 429]
    assert api.function.events == []


def test_an_api_is_found_by_its_own_host_as_well(api: Api) -> None:
    api.function.steps = [PRELUDE + PRELUDE_END + b"{}"]
    assert api.answer("/live", Host=f"{api.id}.execute-api.us-east-1.amazonaws.com") == (201, {})
    assert api.function.events[0]["path"] == "/"


def test_a_function_that_is_silent_for_too_long_is_no_longer_waited_for() -> None:
    never = threading.Event()

    def sent() -> Iterator[bytes]:
        yield b"a"
        never.wait(20)

    chunks = Passing(sent(), math.inf, idle_s=0.5).chunks()
    assert next(chunks) == b"a"
    with pytest.raises(TimeoutError):
        next(chunks)
    never.set()
