"""The Lambda Runtime API, from which AWS's runtime client takes invocations and to which it posts responses.

https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html
"""

import json
import queue
import threading
import time
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """One invocation for the function."""

    request_id: str
    payload: bytes
    deadline_ms: int
    arn: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """A response of the function. `request_id` is empty if it failed during initialisation."""

    request_id: str
    payload: bytes
    error: bool


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
        body = self._body()
        # `/2018-06-01/runtime/invocation/ID/response`, or `/error` at its end.
        *_, identity, last = self.path.strip("/").split("/")
        # `POST /runtime/init/error`: the handler could not be imported.
        during_init = identity == "init"
        answer = Answer(
            request_id="" if during_init else identity, payload=body, error=last == "error"
        )
        self.server.api.answers.put(answer)
        self._reply(202, json.dumps({"status": "OK"}).encode(), {})

    def _body(self) -> bytes:
        # Chunks: size in hexadecimal, data, line end; the last has size 0 (RFC 9112, section 7.1).
        if self.headers.get("Transfer-Encoding", "").lower() != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))
        body = bytearray()
        while size := int(self.rfile.readline().split(b";")[0], 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return bytes(body)

    def _reply(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
        self.wfile.flush()
