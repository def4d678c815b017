"""An endpoint that answers each row with its text in capitals, but for what a test has it do first."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from turnout.client import Endpoint

Said = tuple[int, dict[str, Any], dict[str, str]]


@dataclass(slots=True, kw_only=True)
class Scripted:
    """The requests that came, and `before`: what is answered in place of outputs, None for outputs."""

    before: Callable[[list[Any]], Said | None] = lambda inputs: None
    seen: list[dict[str, Any]] = field(default_factory=list)
    connections: set[Any] = field(default_factory=set)
    most: int = 0
    now: int = 0
    url: str = ""
    lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def endpoint(self) -> Endpoint:
        return Endpoint(url=self.url, key="k")

    @property
    def sent(self) -> list[Any]:
        """Return every input that came, once for each time."""
        return [one for document in self.seen for one in document["inputs"]]


def problem(status: int, code: str, detail: str = "no", **headers: str) -> Said:
    return status, {"status": status, "code": code, "detail": detail}, headers


def answer(inputs: list[Any]) -> dict[str, Any]:
    outputs = [{"label": str(one).upper(), "tokens": 1} for one in inputs]
    return {"model": "m", "version": "v1", "tier": "cpu", "reason": "fits_cpu", "outputs": outputs}


@contextmanager
def serving(service: Scripted, slow_s: float = 0.0) -> Iterator[Scripted]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            document = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            with service.lock:
                service.seen.append({**document, "path": self.path})
                service.connections.add(self.client_address)
                service.now += 1
                service.most = max(service.most, service.now)
            time.sleep(slow_s)
            said = service.before(document["inputs"]) or (200, answer(document["inputs"]), {})
            with service.lock:
                service.now -= 1
            self.answer(*said)

        def answer(self, status: int, document: Any, headers: dict[str, str]) -> None:
            raw = json.dumps(document).encode()
            self.send_response(status)
            for name, value in {"Content-Length": str(len(raw)), **headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(raw)

        def log_message(self, format: str, *arguments: object) -> None:
            return

    class Server(ThreadingHTTPServer):
        daemon_threads = True

    server = Server(("127.0.0.1", 0), Handler)
    service.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield service
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
