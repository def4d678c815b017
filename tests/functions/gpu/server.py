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

from functions.gpu.app import create_app
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
) -> Iterator[Client]:
    """Serve the artefact in a folder, which `load` opens."""
    app = create_app(load or partial(Engine.load, folder), device, folder, timeout_s)
    config = uvicorn.Config(app, port=0, log_config=None)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        while not server.started:
            time.sleep(0.01)
        yield Client(port=server.servers[0].sockets[0].getsockname()[1])
    finally:
        server.should_exit = True
        thread.join()
