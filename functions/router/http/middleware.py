"""Middleware around every request: an id, one line of log, CORS, and an answer even if our code fails."""

import asyncio
import json
import logging
import time
import uuid
from typing import Any

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from contracts.http_errors import PROBLEM_JSON, ServingError, problem_document
from functions.router.http.cors import Cors
from functions.router.http.metrics import metrics

log = logging.getLogger("turnout.access")
failures = logging.getLogger("turnout.router")
# The key of a scope whose request is for server-sent events.
EVENTS = "turnout.events"
EVENT_STREAM = "text/event-stream"
# What a proxy in between, such as nginx, would collect is of no use later.
EVENT_HEADERS = {"Cache-Control": "no-cache", "X-Accel-Buffering": "no"}
# What means nothing: white space in front of JSON, and a comment between events.
BLANK, COMMENT = b" ", b":\n\n"


class RequestMiddleware:
    """ASGI middleware; endpoints add their fields of the log line to `scope["turnout"]`."""

    def __init__(self, app: ASGIApp, cors: Cors | None = None, deployment: str = "") -> None:
        self.app, self.cors, self.deployment = app, cors or Cors(), deployment

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        start = time.perf_counter()
        request_id = _request_id(scope)
        log_fields: dict[str, Any] = {"method": scope["method"], "path": scope["path"]}
        scope["turnout"] = log_fields

        async def send_with_id(message: Message) -> None:
            if message["type"] == "http.response.start":
                log_fields["status"] = message["status"]
                headers = MutableHeaders(raw=message["headers"])
                headers["X-Request-Id"] = request_id
                self.cors.add_to(headers, scope)
            if message.get("more_body") and message["body"] not in (BLANK, COMMENT):
                # Of an answer that is sent as it is written.
                log_fields.setdefault("first_ms", _ms_since(start))
            await send(message)

        try:
            await (self.cors.preflight(scope) or self.app)(scope, receive, send_with_id)
        except Exception:
            failures.exception("request %s failed", request_id)
            # Once the response has started, its status is sent and cannot become another.
            if "status" not in log_fields:
                await problem_response(ServingError(f"request {request_id} failed"))(
                    scope, receive, send_with_id
                )
        line = {"request_id": request_id, **log_fields, "ms": _ms_since(start)}
        # Metrics are read from the line, so that each byte of it is paid for.
        whole = {**line, **metrics(self.deployment, line)}
        log.info(json.dumps(whole, separators=(",", ":")))


def _ms_since(start: float) -> float:
    return round((time.perf_counter() - start) * 1e3, 2)


def _request_id(scope: Scope) -> str:
    """Return the gateway's id of a request, which its access log has as well; one of our own where no gateway is."""
    context = scope.get("aws.event", {}).get("requestContext", {})
    return str(context.get("requestId") or uuid.uuid4().hex)


class KeepAliveMiddleware:
    """ASGI middleware: a response that is silent for `quiet_s`, before it begins as well, is kept alive.

    Once a first word that means nothing is sent the status is 200, so that a failure is told by the body alone, as the
    document that it would be, or as an event; the line of log has the status that it would have, and `sent_status`.
    A stream gets comments between its events.
    """

    def __init__(self, app: ASGIApp, quiet_s: float) -> None:
        self.app, self.quiet_s = app, quiet_s

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        response = _KeptAlive(scope, send, self.quiet_s)
        response.listen()
        try:
            await self.app(scope, receive, response.send)
        except Exception:
            if response.opened:
                error = ServingError("the router failed; its log says why")
                await _crashed(scope, error)(scope, receive, response.send)
            raise
        finally:
            response.timer.cancel()


class _KeptAlive:
    """One response: `opened` where its status was sent before there was one, in whose place its body tells it."""

    def __init__(self, scope: Scope, send: Send, quiet_s: float) -> None:
        self.scope, self.pass_on, self.quiet_s = scope, send, quiet_s
        self.opened = False
        # Known once the response begins.
        self.events: bool | None = None

    def listen(self) -> None:
        """Wait for a silence from now on, without a task that would have to end before the answer is over."""
        self.timer = asyncio.get_running_loop().call_later(self.quiet_s, self._speak)

    async def send(self, message: Message) -> None:
        """Send a message of the application, or what stands for it in a response that was opened."""
        self.timer.cancel()
        self.listen()
        if message["type"] == "http.response.start":
            kind = Headers(raw=message["headers"]).get("content-type", "")
            self.events = kind.startswith(EVENT_STREAM)
            if self.opened:
                if message["status"] != 200:
                    self.scope["turnout"] |= {"status": message["status"], "sent_status": 200}
                return
        elif self.opened and EVENTS in self.scope and not self.events:
            message = {**message, "body": b"data: " + message["body"] + b"\n\n"}
        await self.pass_on(message)

    def _speak(self) -> None:
        # A loop alone keeps no task from being collected.
        self.speaking = asyncio.ensure_future(self._say_nothing())
        self.listen()

    async def _say_nothing(self) -> None:
        if self.events is None and not self.opened:
            self.opened = True
            events = EVENTS in self.scope
            headers = MutableHeaders(EVENT_HEADERS if events else {})
            headers["content-type"] = EVENT_STREAM if events else "application/json"
            start = {"type": "http.response.start", "status": 200, "headers": headers.raw}
            await self.pass_on(start)
        # In a body that has begun, and is no stream, there is no room for it.
        if self.opened or self.events:
            body = COMMENT if EVENTS in self.scope else BLANK
            await self.pass_on({"type": "http.response.body", "body": body, "more_body": True})


class HeadMiddleware:
    """ASGI middleware: HEAD on every path that has GET, with its status and headers (RFC 9110, section 9.3.2)."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] != "HEAD":
            await self.app(scope, receive, send)
            return

        async def send_without_body(message: Message) -> None:
            await send({**message, "body": b""} if "body" in message else message)

        await self.app({**scope, "method": "GET"}, receive, send_without_body)


def with_head(allowed: str) -> str:
    """Return a value of Allow that names HEAD wherever it names GET, in a fixed order."""
    methods = {method.strip() for method in allowed.split(",")}
    return ", ".join(sorted(methods | ({"HEAD"} if "GET" in methods else set())))


def _crashed(scope: Scope, error: ServingError) -> JSONResponse:
    """Return the error in the form of the answer that the request is for."""
    if EVENTS not in scope:
        return problem_response(error)
    from functions.router.openai.errors import error_response

    return error_response(error, {})


def problem_response(error: ServingError) -> JSONResponse:
    """Return the problem document of an error, with the headers that its status calls for."""
    headers = {}
    if error.status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    if error.status == 415:
        # The encodings that are taken (RFC 9110, section 12.5.3).
        headers["Accept-Encoding"] = "gzip"
    if error.retry_after_s:
        headers["Retry-After"] = str(error.retry_after_s)
    return JSONResponse(
        problem_document(error), error.status, headers=headers, media_type=PROBLEM_JSON
    )
