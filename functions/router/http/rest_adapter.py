"""The adapter of the application to events of an API Gateway REST API, whose answers are sent as they are written.

Mangum collects an answer first. Here the application runs while its answer is read: each message that it sends is
handed to Lambda before it goes on.

https://docs.aws.amazon.com/apigateway/latest/developerguide/response-transfer-mode-lambda.html
https://docs.aws.amazon.com/apigateway/latest/developerguide/set-up-lambda-proxy-integrations.html
"""

import asyncio
import base64
from collections.abc import Callable, Generator
from typing import Any
from urllib.parse import unquote, urlencode

from starlette.types import ASGIApp, Message, Scope

from contracts.names import STREAM_BASE
from functions.runtime.response import Streamed

Event = dict[str, Any]
# The gateway frames what it sends by itself.
OWN_HEADERS = ("content-length", "transfer-encoding")


def adapt_to_rest(
    app: ASGIApp, loop: asyncio.AbstractEventLoop
) -> Callable[[Event, object], Streamed]:
    """Return the application as a handler of events, which runs it in a loop of its own."""

    def handler(event: Event, context: object) -> Streamed:
        run = _Run(app, event, loop)
        start = run.next()
        if start is None:
            raise RuntimeError("the application has sent no answer")
        return Streamed(
            content_type="application/json", chunks=run.chunks(), prelude=_prelude(start)
        )

    return handler


class _Run:
    """One request that the application answers; it goes on only while the next message is waited for."""

    def __init__(self, app: ASGIApp, event: Event, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        # None stands for the end.
        self.sent: asyncio.Queue[Message | None] = asyncio.Queue()
        body = _body(event)
        requests: asyncio.Queue[Message] = asyncio.Queue()
        requests.put_nowait({"type": "http.request", "body": body, "more_body": False})
        # A second message would say that the caller has left, of which API Gateway tells nothing.
        self.task = loop.create_task(self._serve(app, scope_of(event), requests))

    async def _serve(self, app: ASGIApp, scope: Scope, requests: "asyncio.Queue[Message]") -> None:
        try:
            await app(scope, requests.get, self.sent.put)
        finally:
            self.sent.put_nowait(None)

    def next(self) -> Message | None:
        """Return the next message, None behind the last; raise what the application raises."""
        message = self.loop.run_until_complete(self.sent.get())
        if message is None:
            self.loop.run_until_complete(self.task)
        return message

    def chunks(self) -> Generator[bytes, None, None]:
        """Yield the body as it comes; closed before its end, it ends the application's work."""
        try:
            while (message := self.next()) is not None:
                yield message.get("body", b"")
        finally:
            if not self.task.done():
                self.task.cancel()
                self.loop.run_until_complete(asyncio.wait([self.task]))


def scope_of(event: Event) -> Scope:
    """Return the ASGI scope of an event, which the application finds in it as `aws.event`."""
    context, path = event["requestContext"], _path(event["path"])
    query = event.get("multiValueQueryStringParameters") or {}
    headers = [
        (name.lower().encode("latin-1"), value.encode("latin-1"))
        for name, values in (event.get("multiValueHeaders") or {}).items()
        for value in values
    ]
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": event["httpMethod"],
        "scheme": "https",
        "path": unquote(path),
        "raw_path": path.encode("utf-8"),
        "root_path": "",
        "query_string": urlencode(query, doseq=True).encode("ascii"),
        "headers": headers,
        "client": (context["identity"]["sourceIp"], 0),
        "server": (context.get("domainName", ""), 443),
        "aws.event": event,
    }


def _path(path: str) -> str:
    """Return a path without the base path of a custom domain, by which the resource is found, and which an event has.

    https://github.com/CodeGenieApp/serverless-express/issues/216
    """
    below = path.removeprefix(f"/{STREAM_BASE}")
    return below if below.startswith("/") else path


def _body(event: Event) -> bytes:
    body = event.get("body") or ""
    return base64.b64decode(body) if event.get("isBase64Encoded") else body.encode("utf-8")


def _prelude(start: Message) -> dict[str, Any]:
    """Return the status and the headers, as the gateway reads them; of those with one name all values."""
    named: dict[str, list[str]] = {}
    for raw_name, raw_value in start["headers"]:
        name = raw_name.decode("latin-1").lower()
        if name not in OWN_HEADERS:
            named.setdefault(name, []).append(raw_value.decode("latin-1"))
    return {"statusCode": start["status"], "headers": {n: ", ".join(v) for n, v in named.items()}}
