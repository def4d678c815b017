"""The container streams what a model writes, in its turn, and stops when its caller leaves."""

import http.client
import json
import threading
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from contracts.http_errors import ModelFailed, TooLarge
from contracts.prediction import TierAnswer
from contracts.streaming import NDJSON, Delta, read_stream
from contracts.tasks import Tier
from functions.inference.engine import Engine, Prediction
from tests.fixtures.models.tiny import Tiny, artefact
from tests.fixtures.models.writers.counting import NUMBERS, writer
from tests.functions.gpu.server import Client, serving

# Nothing here takes long; a test that waits this long has failed.
PATIENCE_S = 60


class SteppedEngine:
    """A real engine whose streams write one delta for each permit, and then fail if told to."""

    def __init__(self, engine: Engine, failing: Exception | None = None) -> None:
        self.engine, self.failing = engine, failing
        self.permits, self.closed = threading.Semaphore(0), threading.Event()

    def __getattr__(self, name: str) -> Any:
        return getattr(self.engine, name)

    def written(self, prediction: Prediction) -> Generator[Delta | TierAnswer, None, None]:
        try:
            for item in self.engine.written(prediction):
                assert self.permits.acquire(timeout=PATIENCE_S)
                yield item
                if self.failing:
                    raise self.failing
        finally:
            self.closed.set()


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return writer(tmp_path_factory.mktemp("model") / "gpu", tier=Tier.GPU)


@contextmanager
def stepped(
    model: Path, failing: Exception | None = None
) -> Iterator[tuple[SteppedEngine, Client]]:
    engine = SteppedEngine(Engine.load(model), failing)
    with serving(model, lambda: engine, timeout_s=PATIENCE_S) as client:  # type: ignore[arg-type, return-value]
        assert client.settled().status == 200
        yield engine, client


@contextmanager
def asked(client: Client, **request: Any) -> Iterator[http.client.HTTPResponse]:
    connection = http.client.HTTPConnection("127.0.0.1", client.port, timeout=PATIENCE_S)
    body = json.dumps({"inputs": ["one"], "stream": True, **request})
    connection.request("POST", "/invocations", body)
    response = connection.getresponse()
    try:
        yield response
    finally:
        response.close()
        connection.close()


def parts_of(response: http.client.HTTPResponse) -> Iterator[bytes]:
    while part := response.read1(65536):
        yield part


def test_a_stream_is_the_whole_answer_in_deltas(model: Path) -> None:
    with serving(model) as client:
        assert client.settled().status == 200
        whole = client.predict("one")
        with asked(client) as response:
            assert (response.status, response.headers["content-type"]) == (200, NDJSON)
            *deltas, answer = read_stream(parts_of(response))
    assert deltas == [Delta(index=0, text=number) for number in NUMBERS[1:]]
    assert isinstance(answer, TierAnswer)
    assert list(answer.outputs) == whole.body["outputs"]


def test_a_delta_is_sent_before_the_next_one_is_written(model: Path) -> None:
    with stepped(model) as (engine, client):
        engine.permits.release()
        with asked(client) as response:
            stream = read_stream(parts_of(response))
            for number in NUMBERS[1:]:
                assert next(stream) == Delta(index=0, text=number)
                engine.permits.release()
            assert isinstance(next(stream), TierAnswer)


def test_a_caller_who_leaves_ends_the_work(model: Path) -> None:
    with stepped(model) as (engine, client):
        engine.permits.release()
        with asked(client) as response:
            assert next(read_stream(parts_of(response))) == Delta(index=0, text=NUMBERS[1])
        # A token at a time, until the run notices: it would need ten of them to its end.
        for _ in range(PATIENCE_S * 100):
            if client.queue.inside == 0:
                break
            threading.Event().wait(0.01)
        engine.permits.release()
        assert engine.closed.wait(PATIENCE_S)
        # Two were taken, that of the first delta and that of the one which nobody took; none is left.
        assert not engine.permits.acquire(blocking=False)
        # The next one has its turn.
        engine.permits.release(len(NUMBERS))
        with asked(client) as response:
            assert len(list(read_stream(parts_of(response)))) == len(NUMBERS)


def test_a_stream_waits_for_its_turn(model: Path) -> None:
    with stepped(model) as (engine, client):
        engine.permits.release()
        with asked(client) as first:
            stream = read_stream(parts_of(first))
            next(stream)
            found: list[int] = []

            def second() -> None:
                with asked(client) as response:
                    found.append(len(list(read_stream(parts_of(response)))))

            thread = threading.Thread(target=second)
            thread.start()
            client.wait_for_queue(1)
            engine.permits.release(2 * len(NUMBERS))
            assert len(list(stream)) == len(NUMBERS) - 1
            thread.join(PATIENCE_S)
    assert found == [len(NUMBERS)]


@pytest.mark.parametrize("failing", [TooLarge("too much"), RuntimeError("a secret")])
def test_a_failure_is_the_last_line(model: Path, failing: Exception) -> None:
    with stepped(model, failing) as (engine, client):
        engine.permits.release()
        with asked(client) as response:
            stream = read_stream(parts_of(response))
            assert next(stream) == Delta(index=0, text=NUMBERS[1])
            with pytest.raises(Exception, match="too much|its log says why") as caught:
                next(stream)
    assert not isinstance(caught.value, ModelFailed)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("request_", "status", "code"),
    [
        ({"inputs": []}, 422, "invalid_input"),
        ({"stream": 1}, 422, "invalid_input"),
        ({"inputs": ["one"] * 65}, 413, "too_large"),
    ],
)
def test_what_is_refused_has_its_status(
    model: Path, request_: dict[str, Any], status: int, code: str
) -> None:
    with serving(model) as client:
        assert client.settled().status == 200
        with asked(client, **request_) as response:
            assert (response.status, json.loads(response.read())["code"]) == (status, code)


def test_a_model_that_writes_no_text_has_no_stream(tmp_path: Path) -> None:
    folder = artefact(tmp_path / "gpu", Tiny(tier=Tier.GPU))
    with serving(folder) as client:
        assert client.settled().status == 200
        with asked(client, inputs=["lovely"]) as response:
            problem = json.loads(response.read())
    assert (response.status, problem["code"]) == (422, "invalid_input")
    assert "writes no text" in problem["detail"]
