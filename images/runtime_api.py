"""The Lambda Runtime API, from which AWS's runtime client takes invocations and to which it posts responses.

https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html
"""

import base64
import json
import queue
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from http.client import parse_headers
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """One invocation for the function."""

    request_id: str
    payload: bytes
    deadline_ms: int
    arn: str


@dataclass(frozen=True, slots=True, kw_only=True)
class End:
    """The end of a streamed response: the error that the function sent last, or that its connection was `cut`."""

    error: bytes = b""
    cut: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """A response of the function. `request_id` is empty if it failed during initialisation.

    One that is streamed has no payload, but `chunks`, which queues its parts as they come.
    """

    request_id: str
    payload: bytes
    error: bool
    content_type: str = ""
    chunks: "queue.Queue[bytes | End] | None" = None


class RuntimeApi:
    """One execution environment's server on loopback; `answers` queues the function's responses.

    `ready` is set when the function asks for its first invocation, which ends INIT, at the time `ready_at`.
    """

    def __init__(self) -> None:
        self.ready_at: float | None = None
        self.ready = threading.Event()
        self.work: queue.Queue[Work] = queue.Queue()
        self.answers: queue.Queue[Answer] = queue.Queue()
        self.server = _Server(("127.0.0.1", 0), Handler)
        self.server.api = self
        threading.Thread(target=self.server.serve_forever, daemon=True, name="runtime-api").start()

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.server.server_port}"

    def serve(self) -> None:
        """Take note that the function asks for an invocation."""
        if self.ready_at is None:
            self.ready_at = time.monotonic()
        self.ready.set()

    def restore(self) -> None:
        """Take note that the function waits for its snapshot; here none is taken, so that it goes on."""

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    api: "RuntimeApi"

    def handle_error(self, request: object, client_address: object) -> None:
        """Ignore closed connections of a killed function; `Environment.invoke` notices that it has ended."""


class Handler(BaseHTTPRequestHandler):
    server: _Server
    protocol_version = "HTTP/1.1"
    # Headers and body are sent in one packet: otherwise every call waits up to 40 ms for a delayed ACK.
    wbufsize = 65536
    disable_nagle_algorithm = True

    def log_message(self, format: str, *arguments: object) -> None:
        return

    def do_GET(self) -> None:
        if self.path.endswith("/restore/next"):
            self.server.api.restore()
            return self._reply(200, b"", {})
        # `GET /runtime/invocation/next` stays open until there is an invocation, however long that takes.
        self.server.api.serve()
        work = self.server.api.work.get()
        headers = {
            "Lambda-Runtime-Aws-Request-Id": work.request_id,
            "Lambda-Runtime-Deadline-Ms": str(work.deadline_ms),
            "Lambda-Runtime-Invoked-Function-Arn": work.arn,
            "Lambda-Runtime-Trace-Id": "Root=1-00000000-000000000000000000000000;Sampled=0",
            "Content-Type": "application/json",
        }
        self._reply(200, work.payload, headers)

    def do_POST(self) -> None:
        # `/2018-06-01/runtime/invocation/ID/response`, or `/error` at its end.
        *_, identity, last = self.path.strip("/").split("/")
        # `POST /runtime/init/error`: the handler could not be imported; or `/restore/error`.
        request_id = "" if identity in ("init", "restore") else identity
        kind = self.headers.get("Content-Type", "")
        if self.headers.get("Lambda-Runtime-Function-Response-Mode", "").lower() == "streaming":
            self._stream(request_id, kind)
        else:
            body, error = self._body(), last == "error"
            self.server.api.answers.put(
                Answer(request_id=request_id, payload=body, error=error, content_type=kind)
            )
        self._reply(202, json.dumps({"status": "OK"}).encode(), {})

    def _stream(self, request_id: str, kind: str) -> None:
        chunks: queue.Queue[bytes | End] = queue.Queue()
        self.server.api.answers.put(
            Answer(
                request_id=request_id, payload=b"", error=False, content_type=kind, chunks=chunks
            )
        )
        try:
            for chunk in self._chunks():
                chunks.put(chunk)
            # https://docs.aws.amazon.com/lambda/latest/dg/runtimes-custom.html#runtimes-custom-response-streaming
            trailer = parse_headers(self.rfile)
        except (OSError, ValueError):
            return chunks.put(End(cut=True))
        error = base64.b64decode(trailer.get("Lambda-Runtime-Function-Error-Body", ""))
        chunks.put(End(error=error))

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding", "").lower() != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))
        body = b"".join(self._chunks())
        parse_headers(self.rfile)
        return body

    def _chunks(self) -> Iterator[bytes]:
        """Yield the chunks of a body: size in hexadecimal, data, line end; the last has size 0 (RFC 9112, 7.1).

        Raise ValueError if the connection ends before.
        """
        while size := int(self.rfile.readline().split(b";")[0], 16):
            chunk = self.rfile.read(size)
            if len(chunk) < size:
                raise ValueError("the connection ended within a chunk")
            yield chunk
            self.rfile.readline()

    def _reply(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
        self.wfile.flush()
