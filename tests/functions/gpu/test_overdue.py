"""Requests that nobody waits for any more are not run: each would delay those behind it."""

import http.client
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from contracts.tasks import Tier
from functions.inference.engine import Engine
from tests.fixtures.models.tiny import Tiny, artefact
from tests.functions.gpu.held_engine import HELD, HeldEngine
from tests.functions.gpu.server import Answer, Client, serving


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return artefact(tmp_path_factory.mktemp("model") / "gpu", Tiny(tier=Tier.GPU))


@contextmanager
def held(model: Path, timeout_s: float = 20) -> Iterator[tuple[HeldEngine, Client]]:
    engine = HeldEngine(Engine.load(model))
    with serving(model, lambda: engine, timeout_s=timeout_s) as client:  # type: ignore[arg-type, return-value]
        assert client.settled().status == 200
        yield engine, client


def ask(client: Client, text: str) -> http.client.HTTPConnection:
    """Send a request, and do not read its answer."""
    connection = http.client.HTTPConnection("127.0.0.1", client.port, timeout=20)
    connection.request("POST", "/invocations", json.dumps({"inputs": [text]}).encode())
    return connection


def test_a_live_caller_behind_four_who_gave_up_waits_for_the_running_prediction_alone(
    model: Path,
) -> None:
    with held(model) as (engine, client):
        callers = [ask(client, HELD)]
        assert engine.begun.acquire(timeout=20)
        callers += [ask(client, f"left {number}") for number in range(3)]
        client.wait_for_queue(3)
        for caller in callers:
            caller.close()
        answers: list[Answer] = []
        live = threading.Thread(target=lambda: answers.append(client.predict("live")))
        live.start()
        client.wait_for_queue(4)
        engine.go.set()
        live.join()
    assert answers[0].status == 200
    # Of five requests two are run: the one that ran already, and right after it the live one, alone.
    assert engine.runs == [[(HELD,)], [("live",)]]


@pytest.mark.slow
@pytest.mark.parametrize(("timeout_s", "own"), [(0.2, {}), (20, {"deadline_ms": 200})])
def test_a_request_that_has_waited_for_its_timeout_or_its_own_deadline_is_dropped(
    model: Path, timeout_s: float, own: dict[str, int]
) -> None:
    with held(model, timeout_s=timeout_s) as (engine, client):
        running = ask(client, HELD)
        assert engine.begun.acquire(timeout=20)
        threading.Timer(0.4, engine.go.set).start()
        body = json.dumps({"inputs": ["late"], **own}).encode()
        late = client.request("POST", "/invocations", body)
        running.close()
    assert (late.status, late.body["code"]) == (504, "deadline_exceeded")
    assert engine.runs == [[(HELD,)]]
