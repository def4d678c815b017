"""Events of a REST API, given to an application that answers piece by piece."""

import asyncio
import json
import threading
from base64 import b64encode
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from functions.router.http.rest_adapter import adapt_to_rest
from functions.runtime.response import Streamed
from tests.functions.router.openai.writing_tier import rest_event

Handle = Callable[[Any], Streamed]
Adapt = Callable[[Any], Handle]


@pytest.fixture
def adapt() -> Iterator[Adapt]:
    with asyncio.Runner(loop_factory=asyncio.new_event_loop) as runner:

        def adapted(app: Any) -> Handle:
            handler = adapt_to_rest(app, runner.get_loop())
            return lambda event: handler(event, None)

        yield adapted


async def echo(request: Request) -> Response:
    """Return what an application sees of a request."""
    body = await request.body()
    return JSONResponse(
        {
            "path": request.url.path,
            "query": request.url.query,
            "header": request.headers.getlist("x-twice"),
            "client": request.client and request.client.host,
            "body": body.decode("latin-1"),
            "request_id": request.scope["aws.event"]["requestContext"]["requestId"],
        },
        headers={"X-Given": "a"},
    )


def seen(adapt: Adapt, event: Any) -> dict[str, Any]:
    app = Starlette(routes=[Route("/{path:path}", echo, methods=["GET", "POST"])])
    given = adapt(app)(event)
    found: dict[str, Any] = json.loads(b"".join(given.chunks))
    return found


def test_a_request_is_seen_as_its_caller_sent_it(adapt: Adapt) -> None:
    event = rest_event("POST", "/a%20b/c", "grüße", query={"x": ["1", "ä&"], "y": [""]})
    event["multiValueHeaders"] = {"X-Twice": ["1", "2"]}
    assert seen(adapt, event) == {
        "path": "/a b/c",
        "query": "x=1&x=%C3%A4%26&y=",
        "header": ["1", "2"],
        "client": "192.0.2.1",
        "body": "grüße".encode().decode("latin-1"),
        "request_id": "c6af9ac6-7b61-11e6-9a41-93e8deadbeef",
    }


@pytest.mark.parametrize(
    ("sent", "path"),
    [
        ("/stream/v1/models", "/v1/models"),
        ("/stream/a%20b", "/a b"),
        ("/v1/models", "/v1/models"),
        ("/streams/v1", "/streams/v1"),
        ("/stream", "/stream"),
        ("/stream/", "/"),
    ],
)
def test_the_base_path_of_a_custom_domain_is_no_part_of_a_path(
    adapt: Adapt, sent: str, path: str
) -> None:
    assert seen(adapt, rest_event("GET", sent))["path"] == path


def test_bytes_arrive_as_they_are(adapt: Adapt) -> None:
    event = rest_event("POST", "/", b64encode(b"\xff\x00").decode(), base64=True)
    assert seen(adapt, event)["body"] == "\xff\0"


def test_what_is_not_there_is_null_in_an_event(adapt: Adapt) -> None:
    found = seen(adapt, rest_event("GET", "/"))
    assert (found["query"], found["header"], found["body"]) == ("", [], "")


def test_an_answer_begins_with_its_status_and_headers(adapt: Adapt) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        headers = [(b"Vary", b"a"), (b"vary", b"b"), (b"Content-Length", b"2")]
        await send({"type": "http.response.start", "status": 201, "headers": headers})
        await send({"type": "http.response.body", "body": b"hi"})

    given = adapt(app)(rest_event("GET", "/"))
    assert given.prelude == {"statusCode": 201, "headers": {"vary": "a, b"}}
    assert b"".join(given.chunks) == b"hi"


def test_each_piece_is_handed_on_before_the_next_is_made(adapt: Adapt) -> None:
    go_on = threading.Event()

    async def pieces() -> Any:
        yield b"a"
        # A tier that writes the next one later.
        assert await asyncio.to_thread(go_on.wait, 20)
        yield b"b"

    given = adapt(StreamingResponse(pieces()))(rest_event("GET", "/"))
    assert next(given.chunks) == b"a"
    assert not go_on.is_set()
    go_on.set()
    assert b"".join(given.chunks) == b"b"


def test_an_answer_that_nobody_reads_on_ends_the_work(adapt: Adapt) -> None:
    ended = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"a", "more_body": True})
        try:
            # No second message: a gateway does not tell that a caller has left.
            await receive()
            await receive()
        finally:
            ended.append(True)

    given = adapt(app)(rest_event("GET", "/"))
    assert next(given.chunks) == b"a"
    assert ended == []
    given.chunks.close()
    assert ended == [True]


def test_an_application_that_fails_fails_the_function(adapt: Adapt) -> None:
    async def fails(scope: Scope, receive: Receive, send: Send) -> None:
        raise ZeroDivisionError

    async def silent(scope: Scope, receive: Receive, send: Send) -> None:
        return

    for app, error in ((fails, ZeroDivisionError), (silent, RuntimeError)):
        with pytest.raises(error):
            adapt(app)(rest_event("GET", "/"))
