"""Gain of running the requests of several callers together: the queue of the GPU's container, on this processor.

Callers ask again as soon as they are answered. With and without batching they take turns, round after round, in one
process with one engine; the HTTP server before the queue is left out.
"""

import argparse
import asyncio
import itertools
import json
import os
import statistics
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.record import ROOT, Row, publish, spread
from contracts.models_toml import read_models_toml
from contracts.prediction import PredictRequest
from functions.gpu.metrics import Run
from functions.gpu.request_queue import Batching, RequestQueue
from functions.inference.engine import Engine

MODEL = "support-intent"
CALLERS = (1, 4, 16, 32)
# The way that ships, the same without the wait for more requests, and one request after the other.
WAYS = {
    "together": Batching(),
    "together, no wait": Batching(wait_s=0),
    "one by one": Batching(run_tokens=0),
}


@dataclass(slots=True, kw_only=True)
class Measured:
    """The answers a second of each turn, the milliseconds of each answer, and the requests of each run."""

    rates: list[float] = field(default_factory=list)
    ms: list[float] = field(default_factory=list)
    sizes: list[int] = field(default_factory=list)


async def stays() -> bool:
    return False


async def turn(
    engine: Engine,
    way: Batching,
    callers: int,
    requests: Iterator[PredictRequest],
    seconds: float,
    into: Measured,
) -> None:
    """Have that many callers ask for some seconds, each one request at a time."""
    runs: list[Run] = []
    with ThreadPoolExecutor(max_workers=1) as worker:
        queue = RequestQueue(worker, way, runs.append)
        serving = asyncio.create_task(queue.serve(engine))
        begun, answered = time.perf_counter(), 0

        async def call() -> None:
            nonlocal answered
            while (start := time.perf_counter()) - begun < seconds:
                await queue.predict(engine, next(requests), stays)
                into.ms.append((time.perf_counter() - start) * 1e3)
                answered += 1

        await asyncio.gather(*(call() for _ in range(callers)))
        into.rates.append(answered / (time.perf_counter() - begun))
        serving.cancel()
    into.sizes += [run.requests for run in runs]


def measure(
    engine: Engine, requests: Sequence[PredictRequest], rounds: int, seconds: float
) -> list[Row]:
    """Return a row for each number of callers and each way."""
    found = {key: Measured() for key in itertools.product(CALLERS, WAYS)}
    # The first round warms up, and does not count.
    for number in range(rounds + 1):
        for (callers, way), measured in found.items():
            into = measured if number else Measured()
            # Every way gets the same requests in the same order.
            # `asyncio.run` would leave the thread's own loop, which the router uses, unclosed.
            with asyncio.Runner(loop_factory=asyncio.new_event_loop) as runner:
                runner.run(
                    turn(engine, WAYS[way], callers, itertools.cycle(requests), seconds, into)
                )
    return [
        {
            "callers": callers,
            "run": way,
            "requests a run": round(statistics.mean(measured.sizes), 1),
            "answers a second": round(statistics.median(measured.rates), 1),
            "p50 ms": spread(measured.ms)["p50"],
            "p99 ms": spread(measured.ms)["p99"],
        }
        for (callers, way), measured in found.items()
    ]


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.inference.batching", description=__doc__
    )
    parser.add_argument("--rounds", type=int, default=3, help="turns of each way that count")
    parser.add_argument("--seconds", type=float, default=2.0, help="how long a turn takes")
    parser.add_argument("--out", type=Path, default=ROOT / "models.out", help="the artefacts")
    words = parser.parse_args()
    spec = next(m for m in read_models_toml(ROOT / "models.toml").models if m.name == MODEL)
    lines = spec.eval.read_text("utf-8").split("\n")
    requests = [PredictRequest(inputs=(json.loads(line)["text"],)) for line in lines if line]
    threads = os.cpu_count() or 1
    engine = Engine.load(words.out / MODEL / "gpu", threads=threads)
    rows = measure(engine, requests, words.rounds, words.seconds)
    publish(
        "batching",
        rows,
        command="benchmarks.inference.batching",
        model=f"{MODEL}, gpu, {engine.manifest.recipe}",
        threads=threads,
    )


if __name__ == "__main__":
    main()
