"""The contract of vLLM's container over llama.cpp's server: `GET /ping`, `POST /invocations` whole or as a stream."""

import http.client
import json
from collections.abc import Callable, Iterator
from typing import Any

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from local.vllm.words import chunk_of, request_of

# A text may take as long as its caller waits.
ANSWER_S = 600
PATHS = {"messages": "/v1/chat/completions", "prompt": "/v1/completions"}
PREFIX, DONE = b"data: ", b"[DONE]"


class Proxy:
    """Requests to llama.cpp's server on a port of this machine; `defaults` returns the model's own settings."""

    def __init__(self, port: int, defaults: Callable[[], dict[str, Any]]) -> None:
        self.port, self.defaults = port, defaults

    def _connection(self, timeout_s: float) -> http.client.HTTPConnection:
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout_s)

    def is_ready(self) -> bool:
        """Return true once the model is loaded."""
        connection = self._connection(2)
        try:
            connection.request("GET", "/health")
            return connection.getresponse().status == 200
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()

    def ask(self, path: str, body: dict[str, Any]) -> http.client.HTTPResponse:
        connection = self._connection(ANSWER_S)
        text = json.dumps(request_of(body, self.defaults()))
        # The answer owns the connection then, so that closing one closes the other, and the server stops writing.
        headers = {"Content-Type": "application/json", "Connection": "close"}
        connection.request("POST", path, text, headers)
        return connection.getresponse()

    async def ping(self, request: Request) -> Response:
        ready = await run_in_threadpool(self.is_ready)
        return Response(status_code=200 if ready else 503)

    async def invocations(self, request: Request) -> Response:
        try:
            body = json.loads(await request.body())
            (path,) = (path for key, path in PATHS.items() if key in body)
        except (ValueError, TypeError):
            return _refused("the body is neither a chat nor a completion")
        answer = await run_in_threadpool(self.ask, path, body)
        kind = answer.headers.get_content_type()
        if kind == "text/event-stream":
            return StreamingResponse(events(answer), media_type=kind)
        document = json.loads(await run_in_threadpool(answer.read))
        if answer.status == 200:
            document = chunk_of(document)
        return Response(json.dumps(document), answer.status, media_type="application/json")


def events(answer: http.client.HTTPResponse) -> Iterator[bytes]:
    """Yield the events of a stream as vLLM writes them, as they come, and close it where nobody reads on."""
    begun = 0
    with answer:
        for line in answer:
            data = line.strip().removeprefix(PREFIX)
            if data == DONE:
                yield PREFIX + data + b"\n\n"
            elif line.startswith(PREFIX):
                document = json.loads(data)
                chunk = document if "error" in document else chunk_of(document, begun)
                begun += sum(len(one.get("text") or "") for one in chunk.get("choices", ()))
                yield PREFIX + json.dumps(chunk).encode() + b"\n\n"


def _refused(message: str) -> Response:
    error = {"message": message, "type": "BadRequestError", "param": None, "code": 400}
    return Response(json.dumps({"error": error}), 400, media_type="application/json")


def create_app(proxy: Proxy) -> Starlette:
    """Return the application."""
    routes = [
        Route("/ping", proxy.ping, methods=["GET"]),
        Route("/invocations", proxy.invocations, methods=["POST"]),
    ]
    app = Starlette(routes=routes)
    app.router.redirect_slashes = False
    return app
