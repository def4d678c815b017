"""The front answers what the emulator would cut short or misread, before a copy gets it."""

import http.client
import json
from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest

from contracts.limits import LAMBDA_PAYLOAD_BYTES
from images.running.copy import PATH
from images.running.front import Front


@pytest.fixture
def front() -> Iterator[Front]:
    """A front without copies: a request that it passed on would not be answered."""
    front = Front([])
    front.start()
    yield front
    front.stop()


def ask(front: Front, path: str, headers: dict[str, str]) -> tuple[int, str]:
    host = urlsplit(front.url).netloc
    connection = http.client.HTTPConnection(host, timeout=5)
    connection.putrequest("POST", path)
    for name, value in headers.items():
        connection.putheader(name, value)
    connection.endheaders()
    response = connection.getresponse()
    document = json.loads(response.read())
    connection.close()
    return response.status, document["errorType"]


def test_it_listens_on_loopback_alone(front: Front) -> None:
    assert front.url.startswith("http://127.0.0.1:")
    assert front.url.endswith(PATH)


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
    front: Front, path: str, headers: dict[str, str], status: int, kind: str
) -> None:
    assert ask(front, path, headers) == (status, kind)


def test_one_that_never_served_can_be_stopped() -> None:
    Front([]).stop()
