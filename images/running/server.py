"""A server on loopback before the copies of a function: it spreads requests, each copy answering one at a time.

The emulator ends with two requests at once, and cuts a request short that is larger than Lambda takes.
"""

import json
import queue
import threading
from collections.abc import Sequence
from http.client import HTTPException
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from contracts.limits import LAMBDA_PAYLOAD_BYTES
from images.running.copy import PATH, Answer, Copy, NotStarted

HOST = "127.0.0.1"


class FunctionServer:
    """The server of a function between `start` and `stop`; a request waits until a copy is free."""

    def __init__(self, copies: Sequence[Copy], port: int = 0) -> None:
        self._free: queue.SimpleQueue[Copy] = queue.SimpleQueue()
        for copy in copies:
            self._free.put(copy)
        self._server = _Server((HOST, port), _Handler)
        self._server.function = self
        self._thread = threading.Thread(
            target=self._server.serve_forever, daemon=True, name="function-server"
        )

    @property
    def url(self) -> str:
        return f"http://{HOST}:{self._server.server_port}{PATH}"

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        # One that does not serve would be waited for without end.
        if self._thread.is_alive():
            self._server.shutdown()
        self._server.server_close()

    def answer(self, payload: bytes) -> Answer:
        """Return the answer of the copy that is free next; of one that ends meanwhile, Lambda's error."""
        copy = self._free.get()
        try:
            return copy.invoke(payload)
        except (NotStarted, OSError, HTTPException) as error:
            return failure(502, "Runtime.ExitError", f"the copy ended: {error}")
        finally:
            self._free.put(copy)


def failure(status: int, kind: str, message: str) -> Answer:
    """Return an answer in the form of Lambda's errors."""
    body = json.dumps({"errorType": kind, "errorMessage": message}).encode()
    return Answer(status=status, body=body)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    function: FunctionServer


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = 1 << 16

    def log_message(self, format: str, *arguments: object) -> None:
        """Log nothing: the function's own log has each request."""

    def do_POST(self) -> None:
        length = self.headers.get("Content-Length", "")
        if self.path != PATH:
            self._send(failure(404, "ResourceNotFoundException", f"requests go to {PATH}"))
        elif not length.isascii() or not length.isdigit():
            self._send(failure(411, "InvalidRequestContentException", "send a Content-Length"))
        elif int(length) > LAMBDA_PAYLOAD_BYTES:
            message = f"{length} bytes are more than the {LAMBDA_PAYLOAD_BYTES} that Lambda takes"
            self._send(failure(413, "RequestTooLargeException", message))
        else:
            self._send(self.server.function.answer(self.rfile.read(int(length))))

    def _send(self, answer: Answer) -> None:
        # A body that was not read would be taken for the next request.
        self.close_connection = answer.status in (404, 411, 413)
        try:
            self.send_response(answer.status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(answer.body)))
            if self.close_connection:
                self.send_header("Connection", "close")
            self.end_headers()
            self.wfile.write(answer.body)
        except OSError:
            # The client has gone; the copy is free already.
            self.close_connection = True
