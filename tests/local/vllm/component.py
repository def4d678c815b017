"""The process of a component whose image is vLLM's, and requests to it."""

import contextlib
import http.client
import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from local import children
from local.vllm.process import process_of

STREAM = {"stream": True, "stream_options": {"continuous_usage_stats": True}}


class Component:
    """The process of a component, and a connection to it; `home` is the environment of llama.cpp's server."""

    def __init__(self, folder: Path, weights: Path, home: Path) -> None:
        self.port, self.log = children.free_port(), folder / "log"
        process = process_of(weights, self.port, {}, (home, folder / "none"))
        variables = {**process.variables, "PATH": os.environ["PATH"]}
        with self.log.open("wb") as output:
            self.process = children.start(
                process.command, environment=variables, folder=weights, output=output
            )

    def ask(self, method: str, path: str, body: Any = None) -> tuple[int, bytes]:
        opened = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        with contextlib.closing(opened) as connection:
            connection.request(method, path, None if body is None else json.dumps(body))
            answer = connection.getresponse()
            return answer.status, answer.read()

    def is_ready(self) -> bool:
        try:
            return self.ask("GET", "/ping")[0] == 200
        except OSError:
            return False


@contextlib.contextmanager
def running(folder: Path, weights: Path, home: Path) -> Iterator[Component]:
    """Start a component, wait until it answers its ping, and end it."""
    made = Component(folder, weights, home)
    try:
        deadline = time.monotonic() + 120
        while not made.is_ready():
            assert made.process.poll() is None, made.log.read_text()
            assert time.monotonic() < deadline, made.log.read_text()
            time.sleep(0.05)
        yield made
    finally:
        children.end(made.process)
