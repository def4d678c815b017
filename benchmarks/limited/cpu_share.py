"""Latency of a graph with a share of the CPUs: on one thread, and on two, which spin or wait, and are bound or not.

`python -m benchmarks.limited.cpu_share models.out/support-intent/cpu`, on a machine of two or three processors with
nothing else to do; needs root, and control groups of version 1.
"""

import json
import statistics
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import onnxruntime as ort

from benchmarks.inference.pauses import require_binding
from benchmarks.inference.rounds import rotated
from benchmarks.limited.control_group import PERIOD_US, cpu_share, group, run_in
from benchmarks.record import Row, publish
from contracts.manifest import MODEL, kernels_in, read_manifest
from functions.inference.session import (
    BoundSession,
    available_processors,
    options,
    processors_of,
)
from functions.inference.token_batches import filled

# As a function of so many MB has.
SHARES = {2048: 2048 / 1769, 2653: 1.5, 3008: 3008 / 1769, 3537: 3537 / 1769}
TOKENS, RUNS, ROUNDS = (16, 128), 15, 4
# Seconds between runs: of requests that come one by one, and of a long one, such as a batch or a generated text.
PAUSES = {"one by one": 0.03, "sustained": 0.0}


@dataclass(frozen=True, slots=True)
class Case:
    """A number of threads, of which those that are not `bound` are placed by Linux."""

    threads: int
    spins: bool = True
    bound: bool = True


CASES = {
    "1 thread": Case(1),
    "2 threads": Case(2),
    "2, placed by Linux": Case(2, bound=False),
    "2, waiting": Case(2, spins=False),
}
# The milliseconds of each run, by the tokens of its input.
Runs = Mapping[int, Sequence[float]]


def open_case(folder: Path, case: Case) -> ort.InferenceSession:
    """Open an artefact's graph as functions do, but for what the case changes."""
    available = available_processors()
    bound = processors_of(case.threads, available) if case.bound else ()
    chosen = options(case.threads, bound)
    chosen.add_session_config_entry("session.intra_op.allow_spinning", str(int(case.spins)))
    if kernels := kernels_in(folder):
        chosen.register_custom_ops_library(str(kernels.absolute()))
    opener = BoundSession if bound else ort.InferenceSession
    session = opener(str(folder / MODEL), chosen, providers=["CPUExecutionProvider"])
    if bound:
        session.available = available
    return session


def measure(folder: Path, case: Case, pause_s: float) -> Runs:
    """Return how long an artefact's graph takes in this process."""
    manifest, session = read_manifest(folder), open_case(folder, case)
    names = [given.name for given in session.get_inputs()]
    took: dict[int, list[float]] = {}
    for tokens in TOKENS:
        feeds = filled(names, manifest, tokens)
        session.run(None, feeds)
        took[tokens] = []
        for _ in range(RUNS):
            time.sleep(pause_s)
            start = time.perf_counter()
            session.run(None, feeds)
            took[tokens].append((time.perf_counter() - start) * 1e3)
    return took


def rounds(folder: Path, limited: Path, pause_s: float) -> Mapping[str, Runs]:
    """Return all runs of each case, whose processes take turns: a slow minute of the machine is one of all cases."""
    took: dict[str, dict[int, list[float]]] = {name: {} for name in CASES}
    for turn in range(ROUNDS):
        for name in rotated(list(CASES), turn):
            command = [sys.executable, "-m", "benchmarks.limited.cpu_share", str(folder), name]
            found = json.loads(run_in([limited], [*command, str(pause_s)]))
            for tokens, runs in found.items():
                took[name].setdefault(int(tokens), []).extend(runs)
    return took


def rows_of(memory_mb: int, vcpus: float, load: str, took: Mapping[str, Runs]) -> list[Row]:
    """Return a row for each length: the median and the 95th percentile of each case."""
    shares: Row = {"memory, MB": memory_mb, "vCPU": round(vcpus, 2), "requests": load}
    return [
        {**shares, "tokens": tokens, **{name: _figures(took[name][tokens]) for name in took}}
        for tokens in TOKENS
    ]


def _figures(runs: Sequence[float]) -> str:
    *_, longest = statistics.quantiles(runs, n=20, method="inclusive")
    return f"{statistics.median(runs):.1f} / {longest:.1f}"


def main() -> None:
    folder = Path(sys.argv[1])
    if len(sys.argv) > 2:
        name, pause = sys.argv[2:]
        print(json.dumps(measure(folder, CASES[name], float(pause))))
        return
    require_binding()
    rows: list[Row] = []
    for memory_mb, vcpus in SHARES.items():
        for load, pause_s in PAUSES.items():
            with group("cpu", cpu_share(vcpus)) as limited:
                took = rounds(folder, limited, pause_s)
            rows += rows_of(memory_mb, vcpus, load, took)
    how = (
        f"median / 95th percentile in ms of {RUNS * ROUNDS} runs in {ROUNDS} processes, "
        f"under a CFS quota with a period of {PERIOD_US // 1000} ms"
    )
    publish("cpu_share", rows, command="benchmarks.limited.cpu_share", how=how)


if __name__ == "__main__":
    main()
