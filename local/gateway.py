"""The emulated API Gateway: TLS on loopback, deployed routes, the real one's limits and error bodies."""

import json
import re
import socket
import threading
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import uvicorn
from moto.apigatewayv2.models import apigatewayv2_backends
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from contracts.http_errors import TooLarge
from contracts.limits import GATEWAY_BODY_BYTES, GATEWAY_TIMEOUT_S, LAMBDA_PAYLOAD_BYTES
from contracts.request_body import read_body
from local.access_log import AccessLog
from local.control.data_plane import ACCOUNT, DEFAULT_ROUTE, Invocation
from local.control.domains.mapping import mapped
from local.events import HttpAnswer, HttpRequest, answer, event, gateway_error
from local.permissions.errors import AccessDenied
from local.rest import gateway as rest

METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]
ARN = re.compile(r"arn:aws:lambda:[^/]+")
Invoke = Callable[[str, bytes], Invocation]
# Sets the context of a connection by the name that its client asks for: `ssl.SSLContext.sni_callback`.
ByName = Callable[[Any, str | None, Any], None]
# Raises AccessDenied unless the API, stage and route of a path may invoke the function of an ARN.
Check = Callable[[str, str], None]


@dataclass(slots=True)
class Bucket:
    """A token bucket, the algorithm of API Gateway's throttle: `burst` tokens, refilled at `rate` per second."""

    rate: float
    burst: float
    tokens: float = field(init=False)
    at: float = field(init=False)

    def __post_init__(self) -> None:
        self.tokens, self.at = self.burst, time.monotonic()

    def take(self, now: float | None = None) -> bool:
        """Take a token at a time of the monotonic clock; return false if there is none."""
        now = time.monotonic() if now is None else now
        self.tokens = min(self.burst, self.tokens + (now - self.at) * self.rate)
        self.at = now
        if self.tokens < 1:
            return False
        self.tokens -= 1
        return True


class Gateway:
    """An ASGI application for every API in moto's records, whose functions are run by their ARNs, after a check."""

    def __init__(
        self,
        check: Check,
        invoke: Invoke,
        logs: Path,
        *,
        stream: rest.Stream,
        timeout_s: float = GATEWAY_TIMEOUT_S,
    ) -> None:
        self.check, self.invoke, self.timeout_s = check, invoke, timeout_s
        self.stream = stream
        self.log = AccessLog(logs)
        self.buckets: dict[tuple[str, float, float], Bucket] = {}
        self.lock = threading.Lock()
        self.app = Starlette(routes=[Route("/{path:path}", self.receive, methods=METHODS)])

    async def receive(self, request: Request) -> Response:
        host, start = request.headers.get("host", ""), time.time()
        values = _values(request, start)
        if rest.is_rest(host, values["path"]):
            return await self._streamed(request, values)
        api = _api(host, values["path"])
        if api is None:
            return _response(gateway_error(404, "Not Found"))
        answer = await self._answered(api, request, values)
        latency = round((time.time() - start) * 1e3)
        length = len(answer.body)
        self.log.write(
            api,
            {
                **values,
                "status": answer.status,
                "responseLength": length,
                "responseLatency": latency,
            },
        )
        return _response(answer)

    async def _streamed(self, request: Request, values: dict[str, Any]) -> Response:
        """Return the response of a REST API, of which there is no access log."""
        found = rest.find(request.headers.get("host", ""), request.method, values["path"])
        if isinstance(found, Response):
            return found
        if found.throttle and not self._take(found.place.api_id, *found.throttle):
            return rest.refusal(429, "Too Many Requests")
        try:
            body = await read_body(request.stream(), GATEWAY_BODY_BYTES)
        except TooLarge:
            return rest.refusal(413, "Request Too Long")
        except ClientDisconnect:
            return _response(HttpAnswer(status=499, headers=[], body=b""))
        return await rest.respond(found, _received(request, values, body), self.check, self.stream)

    async def _answered(self, api: Any, request: Request, values: dict[str, Any]) -> HttpAnswer:
        if not self._within_throttle(api):
            return _error(429, "Too Many Requests", values)
        try:
            body = await read_body(request.stream(), GATEWAY_BODY_BYTES)
        except TooLarge:
            return _error(413, "Request Entity Too Large", values)
        except ClientDisconnect:
            # nginx's status for a client that has gone; nobody reads it.
            return HttpAnswer(status=499, headers=[], body=b"")
        received = _received(request, values, body)
        return await run_in_threadpool(self.answer, api, received, values)

    def answer(self, api: Any, request: HttpRequest, values: dict[str, Any]) -> HttpAnswer:
        """Invoke the function of the default route, and respond within the gateway's timeout.

        What the access log has of it is added to the request's values.
        """
        routes = {route.route_key: route for route in api.routes.values()}
        if DEFAULT_ROUTE not in routes:
            return _error(404, "Not Found", values)
        integration = api.integrations[routes[DEFAULT_ROUTE].target.rpartition("/")[2]]
        arn = ARN.search(integration.integration_uri)
        if arn is None:
            return _error(500, "Internal Server Error", values)
        payload = json.dumps(event(request, api_id=api.api_id)).encode()
        if len(payload) > LAMBDA_PAYLOAD_BYTES:
            return _error(413, "Request Entity Too Large", values)
        try:
            # The stage and the route: each is the only one that an API has here.
            self.check(f"{api.api_id}/{DEFAULT_ROUTE}/{DEFAULT_ROUTE}", arn[0])
        except AccessDenied as error:
            values["integrationErrorMessage"] = str(error)
            return _error(500, "Internal Server Error", values)
        start = time.perf_counter()
        try:
            return self._invoke(arn[0], payload, integration, values)
        finally:
            values["integrationLatency"] = round((time.perf_counter() - start) * 1e3)

    def _invoke(
        self, arn: str, payload: bytes, integration: Any, values: dict[str, Any]
    ) -> HttpAnswer:
        done: list[Invocation] = []
        worker = threading.Thread(
            target=lambda: done.append(self.invoke(arn, payload)), daemon=True
        )
        worker.start()
        timeout_ms = int(integration.timeout_in_millis or GATEWAY_TIMEOUT_S * 1000)
        # The gateway gives up after its timeout, and the function runs on, as on AWS.
        worker.join(min(self.timeout_s, timeout_ms / 1000))
        if worker.is_alive():
            values["integrationErrorMessage"] = "Integration timed out"
            return _error(503, "Service Unavailable", values)
        if done and done[0].is_throttled:
            # A REST API's answer, of which no source was found for an HTTP API:
            # https://repost.aws/questions/QUfI6bsdd0SOiPeyimzxSkfQ
            values["integrationErrorMessage"] = "Lambda throttled the function: Rate Exceeded."
            return _error(500, "Internal Server Error", values)
        if not done or done[0].error:
            values["integrationErrorMessage"] = "The function failed; its log says more"
            return _error(500, "Internal Server Error", values)
        values["integrationStatus"] = 200
        return answer(done[0].payload)

    def _within_throttle(self, api: Any) -> bool:
        for stage in api.stages.values():
            limits = stage.default_route_settings or {}
            rate, burst = limits.get("throttlingRateLimit"), limits.get("throttlingBurstLimit")
            if rate and burst:
                return self._take(api.api_id, float(rate), float(burst))
        return True

    def _take(self, api_id: str, rate: float, burst: float) -> bool:
        # The limits are part of the key, so a changed throttle begins with a full bucket.
        with self.lock:
            return self.buckets.setdefault((api_id, rate, burst), Bucket(rate, burst)).take()


def _api(host: str, path: str) -> Any:
    """Return the API that a host names, itself or by a custom domain, or the only one."""
    apis = [
        api for backend in apigatewayv2_backends[ACCOUNT].values() for api in backend.apis.values()
    ]
    if behind := mapped(host, path):
        return next((api for api in apis if api.api_id == behind.api_id), None)
    named = [api for api in apis if host.startswith(f"{api.api_id}.")]
    # A local client may use any name of this machine, which is unambiguous with a single API.
    if named:
        return named[0]
    return apis[0] if len(apis) == 1 else None


def _received(request: Request, values: dict[str, Any], body: bytes) -> HttpRequest:
    return HttpRequest(
        request_id=values["requestId"],
        method=request.method,
        path=values["path"],
        query=request.scope["query_string"].decode("latin-1"),
        headers=[(k.decode("latin-1"), v.decode("latin-1")) for k, v in request.scope["headers"]],
        body=body,
        client=values["identity.sourceIp"],
        host=request.headers.get("host", ""),
    )


def _values(request: Request, at: float) -> dict[str, Any]:
    """Return what the access log has of a request before it is answered."""
    return {
        "requestId": uuid.uuid4().hex,
        "requestTimeEpoch": int(at * 1e3),
        "httpMethod": request.method,
        "path": request.scope["raw_path"].decode("latin-1"),
        "identity.sourceIp": request.client.host if request.client else "",
    }


def _error(status: int, message: str, values: dict[str, Any]) -> HttpAnswer:
    values["error.message"] = message
    return gateway_error(status, message)


def _response(answer: HttpAnswer) -> Response:
    response = Response(answer.body, status_code=answer.status)
    kept = [
        (n.encode("latin-1"), v.encode("latin-1"))
        for n, v in answer.headers
        if n != "content-length"
    ]
    length = (b"content-length", str(len(answer.body)).encode())
    # Starlette takes headers as a mapping, which would keep one `set-cookie` alone.
    response.raw_headers = [*kept, length]
    return response


class GatewayServer:
    """The gateway's HTTPS server, in a thread."""

    def __init__(
        self, gateway: Gateway, *, port: int, certificate: Path, by_name: ByName | None = None
    ) -> None:
        """Make the server; clients that name another host in TLS get the context of `by_name`, where it has one."""
        config = uvicorn.Config(
            gateway.app,
            ssl_certfile=str(certificate),
            ssl_keyfile=str(certificate),
            log_level="warning",
            lifespan="off",
            timeout_graceful_shutdown=1,
        )
        config.load()
        if by_name and config.ssl:
            config.ssl.sni_callback = by_name
        self.port, self.server = port, uvicorn.Server(config)

    def start(self) -> int:
        """Serve on loopback and return the port; raise OSError if it is taken."""
        # With the protocol named: asyncio switches Nagle's algorithm off only for sockets of IPPROTO_TCP.
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            self.socket.bind(("127.0.0.1", self.port))
        except OSError as error:
            self.socket.close()
            raise OSError(f"port {self.port} cannot be opened: {error.strerror}") from error
        self.thread = threading.Thread(
            target=self.server.run, args=([self.socket],), daemon=True, name="https"
        )
        self.thread.start()
        # uvicorn has no event to wait for.
        while not self.server.started:
            time.sleep(0.01)
        return int(self.socket.getsockname()[1])

    def stop(self) -> None:
        self.server.should_exit = True
        self.thread.join(timeout=5)
        self.socket.close()
