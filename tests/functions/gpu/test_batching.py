"""Requests that wait together are run together, and each gets the answer that it gets alone."""

import asyncio
import json
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from contracts.http_errors import ServingError
from contracts.prediction import PredictRequest, TierAnswer
from contracts.tasks import Tier
from functions.gpu.metrics import Run
from functions.gpu.request_queue import MAX_WAITING, Batching, RequestQueue
from functions.inference.engine import Engine
from tests.fixtures.models.tiny import Tiny, artefact
from tests.functions.event_loop import run_coroutine
from tests.functions.gpu.held_engine import HELD, HeldEngine
from tests.functions.gpu.server import Answer, serving

TINY = Tiny(tier=Tier.GPU)
AT_ONCE = Batching(wait_s=0)
Outcome = TierAnswer | BaseException


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return artefact(tmp_path_factory.mktemp("model") / "gpu", TINY)


async def stays() -> bool:
    return False


def run_behind_one(
    engine: Engine, requests: Sequence[PredictRequest], batching: Batching = AT_ONCE
) -> tuple[list[Outcome], list[list[tuple[Any, ...]]], list[Run]]:
    """Return the outcomes of requests that all wait while another runs, the inputs of each run, and its figures."""
    held: Any = HeldEngine(engine)
    figures: list[Run] = []

    async def ask() -> list[Outcome]:
        loop = asyncio.get_running_loop()
        with ThreadPoolExecutor(max_workers=1) as worker:
            queue = RequestQueue(worker, batching, figures.append)
            serving = asyncio.create_task(queue.serve(held))
            first = asyncio.create_task(queue.predict(held, PredictRequest(inputs=(HELD,)), stays))
            assert await loop.run_in_executor(None, held.begun.acquire, True, 20)
            waiting = []
            for request in requests:
                # One after the other, so that their order in the queue is known; what is refused never gets there.
                length, task = (
                    queue.waiting,
                    asyncio.create_task(queue.predict(held, request, stays)),
                )
                waiting.append(task)
                while queue.waiting == length and not task.done():
                    await asyncio.sleep(0.001)
            held.go.set()
            outcomes = await asyncio.gather(*waiting, return_exceptions=True)
            await first
            # A run's figures are there when the last of its answers is on its way.
            while len(figures) < len(held.runs):
                await asyncio.sleep(0.001)
            serving.cancel()
            return outcomes

    return run_coroutine(ask()), held.runs[1:], figures[1:]


def texts(*inputs: str) -> PredictRequest:
    return PredictRequest(inputs=inputs)


def test_waiting_requests_run_together_and_are_answered_as_alone(model: Path) -> None:
    engine = Engine.load(model)
    requests = [
        texts("awful " * 14, "fine"),
        texts("lovely"),
        PredictRequest(inputs=("fine", "awful fine", "lovely " * 9), parameters={"top_k": 2}),
    ]
    outcomes, runs, (figures,) = run_behind_one(engine, requests)
    assert runs == [[request.inputs for request in requests]]
    for outcome, request in zip(outcomes, requests, strict=True):
        assert isinstance(outcome, TierAnswer)
        assert outcome.outputs == engine.predict(request).outputs
    assert (figures.queued, figures.requests, figures.dropped) == (3, 3, 0)
    assert figures.tokens == 16 + 3 + 3 + 3 + 4 + 11
    assert len(figures.waits_ms) == 3


def test_a_request_that_fails_leaves_its_neighbours_as_they_are(model: Path) -> None:
    engine = Engine.load(model, max_inputs=4)
    requests = [
        texts("lovely"),
        texts("fine", "broken", "awful"),
        texts(*["awful"] * 5),
        PredictRequest(inputs=("fine",), parameters={"k": 1}),
        texts("awful"),
    ]
    outcomes, runs, _ = run_behind_one(engine, requests)
    # What is refused for its form is not run at all.
    assert runs == [[requests[0].inputs, requests[1].inputs, requests[4].inputs]]
    codes = [o.code if isinstance(o, ServingError) else "" for o in outcomes]
    assert codes == ["", "model_failed", "too_large", "invalid_input", ""]
    for place in (0, 4):
        outcome = outcomes[place]
        assert isinstance(outcome, TierAnswer)
        assert outcome.outputs == engine.predict(requests[place]).outputs


def test_a_run_that_fails_for_one_request_is_repeated_for_each_alone(model: Path) -> None:
    engine = Engine.load(model)
    batching: Any = engine.batching
    sizes: list[int] = []

    def forward(feeds: Any) -> Any:
        sizes.append(len(feeds["input_ids"]))
        # As ONNX Runtime raises where the memory for a batch is not there, or a token is outside of a table.
        if engine.manifest.labels and (feeds["input_ids"] == 5).any():
            raise RuntimeError("an operator failed")
        return batching.forward(feeds)

    failing = replace(batching, forward=forward)
    one = replace(engine, model=failing, batching=failing)
    requests = [texts("awful", "fine"), texts("fine", "lovely"), texts("fine")]
    # In the tiny vocabulary "lovely" is token 5.
    outcomes, _, _ = run_behind_one(one, requests)
    assert sizes[1:] == [5, 2, 2, 1]
    assert isinstance(outcomes[1], RuntimeError)
    for place in (0, 2):
        outcome = outcomes[place]
        assert isinstance(outcome, TierAnswer)
        assert outcome.outputs == engine.predict(requests[place]).outputs


def test_a_run_has_as_many_tokens_as_it_may_and_at_least_one_request(model: Path) -> None:
    engine = Engine.load(model)
    # 3, 3, 16, 3 and 3 tokens.
    requests = [texts("a"), texts("b"), texts("c " * 14), texts("d"), texts("e")]
    _, runs, _ = run_behind_one(engine, requests, Batching(run_tokens=8, wait_s=0))
    assert [len(run) for run in runs] == [2, 1, 2]
    _, runs, _ = run_behind_one(engine, requests, Batching(run_tokens=0, wait_s=0))
    assert [len(run) for run in runs] == [1, 1, 1, 1, 1]


def test_models_that_take_one_request_at_a_time_keep_doing_so(model: Path) -> None:
    engine = replace(Engine.load(model), batching=None)
    outcomes, runs, figures = run_behind_one(engine, [texts("fine"), texts("awful")])
    assert runs == [[("fine",)], [("awful",)]]
    assert [isinstance(outcome, TierAnswer) for outcome in outcomes] == [True, True]
    assert [run.requests for run in figures] == [1, 1]


def test_a_caller_alone_does_not_wait_for_others(model: Path) -> None:
    engine = Engine.load(model)

    async def ask() -> list[Run]:
        figures: list[Run] = []
        with ThreadPoolExecutor(max_workers=1) as worker:
            queue = RequestQueue(worker, Batching(wait_s=20), figures.append)
            serving = asyncio.create_task(queue.serve(engine))
            for _ in range(3):
                await asyncio.wait_for(queue.predict(engine, texts("fine"), stays), 5)
            while len(figures) < 3:
                await asyncio.sleep(0.001)
            serving.cancel()
        return figures

    assert [run.requests for run in run_coroutine(ask())] == [1, 1, 1]


@pytest.mark.parametrize(("wait_s", "runs"), [(20.0, [1, 2, 2]), (0.0, [1, 2, 1, 1])])
def test_callers_that_were_answered_together_are_waited_for_as_long_as_is_set(
    model: Path, wait_s: float, runs: list[int]
) -> None:
    engine: Any = HeldEngine(Engine.load(model))
    figures: list[Run] = []

    async def ask() -> None:
        loop = asyncio.get_running_loop()
        with ThreadPoolExecutor(max_workers=1) as worker:
            queue = RequestQueue(worker, Batching(wait_s=wait_s), figures.append)
            serving = asyncio.create_task(queue.serve(engine))

            def send(text: str) -> asyncio.Task[TierAnswer]:
                return asyncio.create_task(queue.predict(engine, texts(text), stays))

            first = send(HELD)
            assert await loop.run_in_executor(None, engine.begun.acquire, True, 20)
            both = [send("fine"), send("awful")]
            while queue.waiting < 2:
                await asyncio.sleep(0.001)
            engine.go.set()
            await asyncio.gather(first, *both)
            again = send("lovely")
            # The second one asks again a little later.
            await asyncio.sleep(0.1)
            assert again.done() == (wait_s == 0)
            await asyncio.gather(again, send("fine"))
            while len(figures) < len(runs):
                await asyncio.sleep(0.001)
            serving.cancel()

    run_coroutine(ask())
    assert [run.requests for run in figures] == runs


def test_more_requests_than_may_wait_are_refused_at_once(model: Path) -> None:
    engine: Any = HeldEngine(Engine.load(model))

    async def ask() -> Outcome:
        loop = asyncio.get_running_loop()
        with ThreadPoolExecutor(max_workers=1) as worker:
            queue = RequestQueue(worker, Batching(), lambda run: None)
            serving = asyncio.create_task(queue.serve(engine))
            inside = [
                asyncio.create_task(queue.predict(engine, texts(HELD), stays))
                for _ in range(MAX_WAITING)
            ]
            assert await loop.run_in_executor(None, engine.begun.acquire, True, 20)
            (late,) = await asyncio.gather(
                queue.predict(engine, texts("fine"), stays), return_exceptions=True
            )
            engine.go.set()
            await asyncio.gather(*inside)
            serving.cancel()
            return late

    late = run_coroutine(ask())
    assert isinstance(late, ServingError)
    assert (late.code, late.retry_after_s) == ("tier_unavailable", 1)


def test_the_figures_of_runs_are_lines_of_the_embedded_metric_format(model: Path) -> None:
    lines: list[str] = []
    engine = HeldEngine(Engine.load(model))
    with serving(model, lambda: engine, write=lines.append) as client:  # type: ignore[arg-type, return-value]
        assert client.settled().status == 200
        answers: list[Answer] = []

        def ask(text: str) -> threading.Thread:
            thread = threading.Thread(target=lambda: answers.append(client.predict(text)))
            thread.start()
            return thread

        threads = [ask(HELD)]
        assert engine.begun.acquire(timeout=20)
        threads += [ask("fine"), ask("awful")]
        client.wait_for_queue(2)
        engine.go.set()
        for thread in threads:
            thread.join()
    assert [answer.status for answer in answers] == [200] * 3
    (line,) = lines
    found = json.loads(line)
    (directive,) = found["_aws"]["CloudWatchMetrics"]
    assert directive["Dimensions"] == [["Model"]]
    assert found["Model"] == "tiny"
    assert (found["QueueLength"], found["BatchRequests"]) == ([1, 2], [1, 2])
    assert (found["BatchTokens"], found["Dropped"]) == ([3, 6], [0, 0])
    assert [len(found[name]) for name in ("QueueTime", "RunTime")] == [3, 2]
    assert {metric["Name"] for metric in directive["Metrics"]} == set(found) - {
        "_aws",
        "Model",
        "Version",
    }


def test_a_line_of_figures_has_no_more_values_than_cloudwatch_reads() -> None:
    from functions.gpu.metrics import MAX_VALUES, Metrics

    lines: list[str] = []
    metrics = Metrics(lines.append)
    run = Run(queued=40, requests=40, dropped=1, tokens=9, waits_ms=(1.0,) * 40, run_ms=2.0)
    for _ in range(5):
        metrics.record(run)
    metrics.flush()
    metrics.flush()
    each = [json.loads(line) for line in lines]
    assert [len(one["QueueTime"]) for one in each] == [80, 80, 40]
    assert max(len(v) for one in each for v in one.values() if isinstance(v, list)) <= MAX_VALUES
    assert sum(len(one["RunTime"]) for one in each) == 5
