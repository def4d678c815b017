"""Runs after a pause, as most requests of an endpoint come: on one thread, and on two, bound to processors or not.

`python -m benchmarks.inference.pauses --artefact DIR`, on a machine of two or three processors with nothing else to do.
"""

import argparse
import os
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.inference.rounds import rotated
from benchmarks.record import Row, publish
from functions.inference.engine import Engine
from functions.inference.session import available_processors, processors_of
from functions.inference.token_batches import filled

TOKENS = (8, 32, 128, 256)
PAUSE_S, ROUNDS, FURTHER = 0.3, 25, 3
# Runs an engine on a text of so many tokens.
Run = Callable[[int], object]


def opened(artefact: Path, threads: int, *, bound: bool = True) -> Run:
    """Return the run of an engine; one that is not `bound` has its threads placed by Linux, as it had them once."""
    everywhere, before = available_processors(), _threads()
    if not bound:
        # With one processor it binds none; its threads may run on that one alone, until they are set free.
        os.sched_setaffinity(0, everywhere[:1])
    engine = Engine.load(artefact, threads=threads)
    if not bound:
        for thread in (os.getpid(), *_threads() - before):
            os.sched_setaffinity(thread, everywhere)
    model: Any = engine.batching
    feeds = {tokens: filled(model.input_names, engine.manifest, tokens) for tokens in TOKENS}
    return lambda tokens: model.forward(feeds[tokens])


def _threads() -> set[int]:
    return {int(name) for name in os.listdir("/proc/self/task")}


def measure(
    engines: Mapping[str, Run],
    tokens: Sequence[int] = TOKENS,
    rounds: int = ROUNDS,
    pause: Callable[[], object] = lambda: time.sleep(PAUSE_S),
) -> list[Row]:
    """Return a row for each length: the medians of the first run after a pause, and of those that follow at once."""
    rows: list[Row] = []
    for number in tokens:
        took: dict[str, list[list[float]]] = {name: [] for name in engines}
        for turn in range(rounds):
            for name in rotated(list(engines), turn):
                pause()
                took[name].append([_ms(engines[name], number) for _ in range(1 + FURTHER)])
        row: Row = {"tokens": number}
        for name, every in took.items():
            row[f"{name}: first, ms"] = round(statistics.median(one[0] for one in every), 2)
            further = [ms for one in every for ms in one[1:]]
            row[f"{name}: further, ms"] = round(statistics.median(further), 2)
        rows.append(row)
    return rows


def _ms(run: Run, tokens: int) -> float:
    start = time.perf_counter()
    run(tokens)
    return (time.perf_counter() - start) * 1e3


def require_binding() -> None:
    """Raise SystemExit where two threads are not bound."""
    if not processors_of(2, available_processors()):
        raise SystemExit(
            "on this machine two threads are not bound: it has one processor, or 4 and more"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--artefact", type=Path, required=True)
    artefact = parser.parse_args().artefact
    require_binding()
    engines = {
        "one thread": opened(artefact, 1),
        "two, placed by Linux": opened(artefact, 2, bound=False),
        "two, bound": opened(artefact, 2),
    }
    publish("inference_pauses", measure(engines), command="benchmarks.inference.pauses")


if __name__ == "__main__":
    main()
