"""Requests that nobody waits for any more are not run: one is at a time, and each would delay those behind it."""

import http.client
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from contracts.prediction import PredictRequest, TierAnswer
from contracts.tasks import Tier
from functions.inference.engine import Engine
from tests.fixtures.models.tiny import Tiny, artefact
from tests.functions.gpu.server import Answer, Client, serving


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return artefact(tmp_path_factory.mktemp("model") / "gpu", Tiny(tier=Tier.GPU))


class SlowEngine:
    """An engine whose predictions take until they are let go; it counts them."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.go, self.begun = threading.Event(), threading.Semaphore(0)
        self.predictions = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self.engine, name)

    def predict(self, request: PredictRequest) -> TierAnswer:
        # The probe is answered at once.
        if request.inputs == ("slow",):
            self.predictions += 1
            self.begun.release()
            self.go.wait(20)
        return self.engine.predict(request)


def leaves(client: Client) -> None:
    """Send a request, and leave without its answer."""
    connection = http.client.HTTPConnection("127.0.0.1", client.port, timeout=20)
    connection.request("POST", "/invocations", b'{"inputs": ["slow"]}')
    connection.close()


def test_callers_who_left_are_dropped_before_they_run(model: Path) -> None:
    slow = SlowEngine(Engine.load(model))
    with serving(model, lambda: slow) as client:  # type: ignore[arg-type, return-value]
        assert client.settled().status == 200
        leaves(client)
        assert slow.begun.acquire(timeout=20)
        for _ in range(3):
            leaves(client)
        answers: list[Answer] = []
        live = threading.Thread(
            target=lambda: answers.append(
                client.request("POST", "/invocations", b'{"inputs": ["slow"]}')
            )
        )
        live.start()
        # The server has read all five before the first one ends.
        time.sleep(0.3)
        slow.go.set()
        live.join()
    assert answers[0].status == 200
    assert slow.predictions == 2


def test_a_request_that_has_waited_for_its_timeout_is_dropped(model: Path) -> None:
    slow = SlowEngine(Engine.load(model))
    with serving(model, lambda: slow, timeout_s=0.2) as client:  # type: ignore[arg-type, return-value]
        assert client.settled().status == 200
        leaves(client)
        assert slow.begun.acquire(timeout=20)
        threading.Timer(0.5, slow.go.set).start()
        late = client.request("POST", "/invocations", b'{"inputs": ["slow"]}')
    assert (late.status, late.body["code"]) == (504, "deadline_exceeded")
    assert slow.predictions == 1
