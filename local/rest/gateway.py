"""The emulated REST API: routes, limits and error bodies of the real one, and answers that are passed on as they come.

A caller's request goes to `/_aws/execute-api/ID/STAGE/…`, or by the API's own host name. Whether the caller is still
there changes nothing for the function, as on AWS.

https://docs.aws.amazon.com/apigateway/latest/developerguide/supported-gateway-response-types.html
"""

import json
import queue
import re
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from typing import Any

from moto.apigateway.models import apigateway_backends
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response, StreamingResponse

from contracts.limits import LAMBDA_PAYLOAD_BYTES, STREAM_IDLE_S
from local.control.data_plane import ACCOUNT
from local.control.domains.mapping import mapped
from local.events import HttpRequest
from local.permissions.errors import AccessDenied
from local.rest.events import Began, Place, begun, event

PREFIX = re.compile(r"/_aws/execute-api/(?P<id>[a-z0-9]+)(?P<path>/.*)")
ARN = re.compile(r"functions/(arn:aws:lambda:[^/]+)/(?P<call>[a-z-]+)")
STREAMED = "response-streaming-invocations"
GREEDY = "/{proxy+}"
# A REST API's default for an integration.
TIMEOUT_S = 29.0
# The end of what a function streams; of one that failed.
END, FAILED = object(), object()

# Yields what a function sends as it comes; raises Broken where it fails.
Stream = Callable[[str, bytes], Iterator[bytes]]
# Raises AccessDenied unless the source may invoke the function of an ARN.
Check = Callable[[str, str], None]


class Broken(Exception):
    """A function failed, or was throttled."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A request's place in an API, with the integration and the stage that it goes through."""

    api: Any
    place: Place
    integration: Any
    throttle: tuple[float, float] | None


def is_rest(host: str, path: str) -> bool:
    """Return True for a request to a REST API."""
    if behind := mapped(host, path):
        return not behind.api_id or behind.api_id in _apis()
    return bool(PREFIX.fullmatch(path)) or _of_host(host) is not None


def find(host: str, method: str, path: str) -> Asked | Response:
    """Return where a request goes, or the gateway's own refusal."""
    behind, matched = mapped(host, path), PREFIX.fullmatch(path)
    if behind:
        api, stage, rest = _apis().get(behind.api_id), behind.stage, behind.path[1:]
    else:
        api = _apis().get(matched["id"]) if matched else _of_host(host)
        stage, _, rest = (matched["path"] if matched else path)[1:].partition("/")
    if api is None or stage not in api.stages:
        return refusal(403, "Forbidden")
    by_path: dict[str, Any] = {one.get_path(): one for one in api.resources.values()}
    resource = by_path.get(f"/{rest}", by_path.get(GREEDY))
    methods = resource.resource_methods if resource else {}
    taken = methods.get(method, methods.get("ANY"))
    if resource is None or taken is None:
        return refusal(403, "Missing Authentication Token")
    settings = api.stages[stage].method_settings.get("*/*", {})
    rate, burst = settings.get("throttlingRateLimit"), settings.get("throttlingBurstLimit")
    return Asked(
        api=api,
        place=Place(
            api_id=api.id,
            stage=stage,
            resource=resource.get_path(),
            resource_id=resource.id,
            path=f"/{rest}",
            sent=path if behind else f"/{stage}/{rest}",
            seen=path if behind else f"/{rest}",
            binary=tuple(api.binaryMediaTypes),
        ),
        integration=taken.method_integration,
        throttle=(float(rate), float(burst)) if rate and burst else None,
    )


async def respond(asked: Asked, request: HttpRequest, check: Check, stream: Stream) -> Response:
    """Invoke the function behind a place, and return its response as soon as it has begun."""
    payload = json.dumps(event(request, asked.place)).encode()
    if len(payload) > LAMBDA_PAYLOAD_BYTES:
        return refusal(413, "Request Too Long")
    found = ARN.search(asked.integration.uri)
    if found is None or found["call"] != STREAMED:
        return refusal(500, "Internal server error")
    place = asked.place
    try:
        check(f"{place.api_id}/{place.stage}/{request.method}{place.resource}", found[1])
    except AccessDenied:
        return refusal(500, "Internal server error")
    timeout_s = float(asked.integration.timeout_in_millis or TIMEOUT_S * 1000) / 1000
    passing = Passing(stream(found[1], payload), time.monotonic() + timeout_s)
    try:
        began = await run_in_threadpool(lambda: begun(passing.chunks()))
    except TimeoutError:
        return refusal(504, "Endpoint request timed out")
    except Broken:
        began = None
    if began is None:
        return refusal(502, "Internal server error")
    return _streamed(began, passing)


def refusal(status: int, message: str) -> Response:
    """Return the gateway's own answer."""
    body = json.dumps({"message": message})
    return Response(body, status_code=status, media_type="application/json")


class Passing:
    """The chunks of a function, which a thread reads to their end; from here the gateway reads them within its time.

    One that is silent for `idle_s` has ended its own.
    """

    def __init__(self, sent: Iterator[bytes], until: float, idle_s: float = STREAM_IDLE_S) -> None:
        self.sent, self.until, self.idle_s = sent, until, idle_s
        self.waiting: queue.SimpleQueue[object] = queue.SimpleQueue()
        threading.Thread(target=self._read, daemon=True, name="stream").start()

    def _read(self) -> None:
        try:
            for chunk in self.sent:
                self.waiting.put(chunk)
        except Exception:
            self.waiting.put(FAILED)
        else:
            self.waiting.put(END)

    def chunks(self) -> Iterator[bytes]:
        """Yield the chunks that are not read yet; raise TimeoutError when the time is over, and Broken."""
        while (chunk := self._next()) is not END:
            assert isinstance(chunk, bytes)
            yield chunk

    def _next(self) -> object:
        try:
            left_s = max(self.until - time.monotonic(), 0.001)
            chunk = self.waiting.get(timeout=min(left_s, self.idle_s))
        except queue.Empty:
            raise TimeoutError from None
        if chunk is FAILED:
            raise Broken
        return chunk


def _streamed(began: Began, passing: Passing) -> Response:
    async def body() -> AsyncIterator[bytes]:
        yield began.rest
        chunks = passing.chunks()
        # A failure ends the connection, since its status is sent.
        while (chunk := await run_in_threadpool(next, chunks, None)) is not None:
            yield chunk

    response = StreamingResponse(body(), status_code=began.status)
    response.raw_headers = [(n.encode("latin-1"), v.encode("latin-1")) for n, v in began.headers]
    return response


def _apis() -> dict[str, Any]:
    return {
        api.id: api
        for backend in apigateway_backends[ACCOUNT].values()
        for api in backend.apis.values()
    }


def _of_host(host: str) -> Any:
    return next((api for api in _apis().values() if host.startswith(f"{api.id}.")), None)
