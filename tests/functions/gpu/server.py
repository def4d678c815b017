"""The container's server on a port of loopback, and a client that reads its answers."""

import http.client
import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import uvicorn

from functions.gpu.app import BATCHING, create_app, write_line
from functions.gpu.request_queue import Batching, RequestQueue
from functions.inference.engine import Engine


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    status: int
    kind: str
    body: Any
    allow: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Client:
    port: int
    queue: RequestQueue

    def wait_for_queue(self, length: int) -> None:
        """Return once that many requests wait for the one that runs."""
        for _ in range(2000):
            if self.queue.waiting == length:
                return
            time.sleep(0.005)
        raise AssertionError(f"{self.queue.waiting} requests wait")

    def predict(self, *inputs: str) -> Answer:
        return self.request("POST", "/invocations", json.dumps({"inputs": inputs}).encode())

    def request(self, method: str, path: str, body: bytes = b"", **headers: str) -> Answer:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        try:
            connection.request(method, path, body, named)
            answer = connection.getresponse()
            text = answer.read()
            return Answer(
                status=answer.status,
                kind=answer.getheader("content-type") or "",
                body=json.loads(text) if text else None,
                allow=answer.getheader("allow"),
            )
        finally:
            connection.close()

    def settled(self) -> Answer:
        """Return the answer of /ping once loading is over."""
        for _ in range(200):
            answer = self.request("GET", "/ping")
            if answer.status == 200 or "being loaded" not in answer.body["detail"]:
                return answer
            time.sleep(0.02)
        raise AssertionError("still loading")


@contextmanager
def serving(
    folder: Path,
    load: Callable[[], Engine] | None = None,
    device: str = "cpu",
    timeout_s: float = 20,
    batching: Batching = BATCHING,
    write: Callable[[str], None] = write_line,
) -> Iterator[Client]:
    """Serve the artefact in a folder, which `load` opens."""
    opened = load or partial(Engine.load, folder)
    app = create_app(opened, device, folder, timeout_s, batching, write)
    config = uvicorn.Config(app, port=0, log_config=None)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        while not server.started:
            time.sleep(0.01)
        port = server.servers[0].sockets[0].getsockname()[1]
        yield Client(port=port, queue=app.state.queue)
    finally:
        server.should_exit = True
        thread.join()
