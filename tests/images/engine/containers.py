"""The GPU container, run by an engine from its image, and by this machine's Python from the source tree."""

import http.client
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from images.engine.engine import Engine
from tests.fixtures.paths import ROOT

STARTING_S = 60.0
# Good requests and wrong ones, for both of SageMaker's paths and for another.
REQUESTS = (
    ("GET", "/ping", b""),
    ("POST", "/invocations", b'{"inputs": ["lovely", "awful fine"]}'),
    ("POST", "/invocations", b'{"inputs": ["lovely"], "parameters": {"top_k": 1}}'),
    ("POST", "/invocations", b'{"inputs": ["lovely"], "parameters": {"top_k": "all"}}'),
    ("POST", "/invocations", b'{"inputs": []}'),
    ("POST", "/invocations", b'{"inputs": ["cut'),
    ("POST", "/ping", b""),
    ("GET", "/none", b""),
)
Answer = tuple[int, str, Any]


def check_answers(engine: Engine, image: Path, artefact: Path) -> None:
    """Check that the container of an image answers as the source tree does with the same artefact."""
    with _source_tree(artefact) as port:
        expected = _answers(port)
    with _container(engine, image) as port:
        assert _answers(port) == expected
    assert [status for status, _, _ in expected] == [200, 200, 200, 422, 422, 400, 405, 404]
    _, _, document = expected[1]
    assert [output["label"] for output in document["outputs"]] == ["good", "bad"]


@contextmanager
def _container(engine: Engine, image: Path) -> Iterator[int]:
    port = _free_port()
    words = (
        "--network=host",
        f"--env=SAGEMAKER_BIND_TO_PORT={port}",
        "--env=TURNOUT_HOST=127.0.0.1",
    )
    # SageMaker appends the word.
    name = engine.run("run", "--detach", *words, f"oci:{image}", "serve")
    try:
        _await_model(
            port, lambda: engine.run("inspect", "--format", "{{.State.Running}}", name) == "true"
        )
        yield port
    finally:
        engine.run("rm", "--force", name)


@contextmanager
def _source_tree(artefact: Path) -> Iterator[int]:
    port = _free_port()
    environment = {
        **os.environ,
        "SAGEMAKER_BIND_TO_PORT": str(port),
        "TURNOUT_HOST": "127.0.0.1",
        "TURNOUT_DEVICE": "cpu",
        "TURNOUT_MODEL_DIR": str(artefact),
    }
    command = [sys.executable, "-m", "functions.gpu"]
    with subprocess.Popen(command, cwd=ROOT, env=environment) as process:
        try:
            _await_model(port, lambda: process.poll() is None)
            yield port
        finally:
            process.terminate()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _await_model(port: int, runs: Callable[[], bool]) -> None:
    """Wait until /ping answers with 200, as SageMaker does."""
    deadline = time.monotonic() + STARTING_S
    while True:
        try:
            if _answer(port, *REQUESTS[0])[0] == 200:
                return
        except OSError:
            assert runs(), "it has ended"
        assert time.monotonic() < deadline
        time.sleep(0.05)


def _answers(port: int) -> list[Answer]:
    return [_answer(port, *request) for request in REQUESTS]


def _answer(port: int, method: str, path: str, body: bytes) -> Answer:
    """Return the status, the media type and the document of an answer, without the time that it took."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    try:
        connection.request(method, path, body)
        response = connection.getresponse()
        text = response.read()
    finally:
        connection.close()
    document = json.loads(text) if text else None
    if isinstance(document, dict):
        document.pop("elapsed_ms", None)
    return response.status, response.getheader("content-type") or "", document
