"""The server answers what the emulator would cut short or misread, before a copy gets it."""

import http.client
import json
from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest

from contracts.limits import LAMBDA_PAYLOAD_BYTES
from images.running.copy import PATH
from images.running.server import FunctionServer


@pytest.fixture
def server() -> Iterator[FunctionServer]:
    """A server without copies: a request that it passed on would not be answered."""
    server = FunctionServer([])
    server.start()
    yield server
    server.stop()


def ask(server: FunctionServer, path: str, headers: dict[str, str]) -> tuple[int, str]:
    host = urlsplit(server.url).netloc
    connection = http.client.HTTPConnection(host, timeout=5)
    connection.putrequest("POST", path)
    for name, value in headers.items():
        connection.putheader(name, value)
    connection.endheaders()
    response = connection.getresponse()
    document = json.loads(response.read())
    connection.close()
    return response.status, document["errorType"]


def test_it_listens_on_loopback_alone(server: FunctionServer) -> None:
    assert server.url.startswith("http://127.0.0.1:")
    assert server.url.endswith(PATH)


@pytest.mark.parametrize(
    ("path", "headers", "status", "kind"),
    [
        ("/", {"Content-Length": "0"}, 404, "ResourceNotFoundException"),
        (PATH, {}, 411, "InvalidRequestContentException"),
        (PATH, {"Content-Length": "-1"}, 411, "InvalidRequestContentException"),
        (
            PATH,
            {"Content-Length": str(LAMBDA_PAYLOAD_BYTES + 1)},
            413,
            "RequestTooLargeException",
        ),
    ],
    ids=["another path", "no length", "a negative length", "too large"],
)
def test_what_no_copy_takes_is_answered_as_lambda_does(
    server: FunctionServer, path: str, headers: dict[str, str], status: int, kind: str
) -> None:
    assert ask(server, path, headers) == (status, kind)


def test_one_that_never_served_can_be_stopped() -> None:
    FunctionServer([]).stop()
