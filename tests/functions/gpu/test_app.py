"""The GPU container's own server over HTTP, as SageMaker calls it; on the CPU, which is all that is here."""

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

import pytest
import uvicorn

from contracts.prediction import PredictRequest, TierAnswer
from contracts.tasks import Tier
from functions.gpu.app import create_app
from functions.inference.engine import Engine
from tests.fixtures.models.tiny import Tiny, artefact
from tests.fixtures.problems import assert_names


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    status: int
    kind: str
    body: Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Client:
    port: int

    def request(self, method: str, path: str, body: bytes = b"") -> Answer:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        try:
            connection.request(method, path, body)
            answer = connection.getresponse()
            text = answer.read()
            kind = answer.getheader("content-type") or ""
            return Answer(status=answer.status, kind=kind, body=json.loads(text) if text else None)
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
def serving(load: Callable[[], Engine], device: str = "cpu") -> Iterator[Client]:
    config = uvicorn.Config(create_app(load, device), port=0, log_config=None)
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


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return artefact(tmp_path_factory.mktemp("model") / "gpu", Tiny(tier=Tier.GPU))


@pytest.fixture(scope="module")
def client(model: Path) -> Iterator[Client]:
    with serving(partial(Engine.load, model)) as client:
        assert client.settled().status == 200
        yield client


def test_a_batch_is_answered_as_the_engine_answers_it(client: Client, model: Path) -> None:
    body = json.dumps({"inputs": ["lovely", "awful " * 40], "parameters": {"top_k": 2}})
    answer = client.request("POST", "/invocations", body.encode())
    request = PredictRequest(inputs=("lovely", "awful " * 40), parameters={"top_k": 2})
    assert (answer.status, answer.kind) == (200, "application/json")
    assert TierAnswer.from_wire(answer.body).outputs == Engine.load(model).predict(request).outputs


@pytest.mark.parametrize(
    ("body", "status", "kind"),
    [
        (b"", 400, "malformed-request"),
        (b"{", 400, "malformed-request"),
        (b'{"inputs": "\xff"}', 400, "malformed-request"),
        (b'{"inputs": NaN}', 400, "malformed-request"),
        (b"[" * 100_000, 400, "malformed-request"),
        (b'{"inputs": []}', 422, "invalid-input"),
        (b'{"inputs": "fine", "parameters": {"k": 1}}', 422, "invalid-input"),
        (b'{"inputs": "broken"}', 502, "model-failed"),
        (json.dumps({"inputs": ["a"] * 10_000}).encode(), 413, "too-large"),
        (json.dumps({"inputs": "a" * 6 * 2**20}).encode(), 413, "too-large"),
    ],
    ids=[
        "empty",
        "cut",
        "not utf-8",
        "NaN",
        "deep",
        "no inputs",
        "parameter",
        "not finite",
        "10,000",
        "7 MB",
    ],
)
def test_a_bad_body_is_answered_with_a_problem(
    client: Client, body: bytes, status: int, kind: str
) -> None:
    answer = client.request("POST", "/invocations", body)
    assert (answer.status, answer.kind) == (status, "application/problem+json")
    assert (answer.body["status"], answer.body["type"]) == (status, f"urn:turnout:problem:{kind}")
    assert "Traceback" not in json.dumps(answer.body)
    assert client.request("GET", "/ping").status == 200


def test_a_gpu_instance_without_cuda_is_never_ready(model: Path) -> None:
    with serving(partial(Engine.load, model), "cuda") as client:
        down = client.settled()
        refused = client.request("POST", "/invocations", b'{"inputs": "fine"}')
    assert (down.status, refused.status) == (503, 503)
    assert_names(down.body["detail"], ("GPU instance", "CPUExecutionProvider", "CUDA"))


def test_a_broken_artefact_is_reported_and_never_ready(tmp_path: Path) -> None:
    folder = artefact(tmp_path / "gpu", Tiny(tier=Tier.GPU))
    (folder / "model.onnx").unlink()
    with serving(partial(Engine.load, folder)) as client:
        answer = client.settled()
    assert answer.status == 503
    assert_names(answer.body["detail"], (folder / "model.onnx", "missing"))


def test_ping_answers_while_the_model_is_loaded(model: Path) -> None:
    loading = threading.Event()

    def load() -> Engine:
        loading.wait(20)
        return Engine.load(model)

    with serving(load) as client:
        early = client.request("GET", "/ping")
        loading.set()
        ready = client.settled()
    assert early.status == 503
    assert "being loaded" in early.body["detail"]
    assert ready.status == 200


def test_requests_at_once_are_all_answered_rightly(client: Client) -> None:
    words = {"lovely": "good", "awful": "bad", "fine": "so-so"}
    found: list[bool] = []

    def send(word: str) -> None:
        answer = client.request("POST", "/invocations", json.dumps({"inputs": [word]}).encode())
        found.append(answer.body["outputs"][0]["label"] == words[word])

    threads = [threading.Thread(target=send, args=(word,)) for word in [*words] * 6]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [True] * 18
