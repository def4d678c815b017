"""Our operators beside ONNX Runtime's: the same labels, the time of a text, and how near that is to the INT8 peak.

`make kernels`, then `python -m benchmarks.inference.kernels --model FOLDER` with a classifier of `benchmarks.finetune`.
"int8 smoothed" and the same with kernels are calibrated on the same rows, and take turns with the peak's matrix product
in one process: on one thread, whose processor time counts, or with `--threads` on more, by the wall, which wants a
machine that nobody else uses. Each processor has a result of its own for each number of threads.
"""

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.contenders import Item, Setting
from benchmarks.contenders.peak import MACS, matrix_product
from benchmarks.contenders.tokens import arrays
from benchmarks.inference.encoding import LENGTHS, export, macs, processor_of, work
from benchmarks.record import Row, machine, publish
from build.families.calibration import CALIBRATION_ROWS
from build.recipes.encoder import INT8, KERNELS, calibrate, make_calibrated
from contracts.manifest import kernels_in
from functions.inference.session import open_session

PLAIN = next(recipe for recipe in INT8 if recipe.name == "int8 smoothed")
NAME = "kernels"
# Other programs disturb the rest of the turns more.
PERCENTILE = 30
# Runs of a text in a turn, whose fastest counts: the first finds its data out of the caches.
RUNS = 3


def graphs(model: Path, items: Sequence[Item], scratch: Path) -> dict[str, Path]:
    """Make the candidates of both recipes, and return the paths of their graphs and of the one in full precision."""
    export(model, scratch)
    feeds = [arrays(item) for item in items]
    feeds = feeds[:: -(-len(feeds) // CALIBRATION_ROWS)]
    calibrate(scratch / "fused.onnx", scratch, feeds)
    made = {"fp32 fused": scratch / "fused.onnx"}
    for recipe in (PLAIN, KERNELS):
        folder = scratch / recipe.name
        folder.mkdir()
        made[recipe.name] = make_calibrated(recipe, scratch, folder / "model.onnx")
    return made


def runner(graph: Path, threads: int) -> Callable[[Item], Any]:
    """Return what runs a graph on a text's tokens, on so many threads."""
    kernels = kernels_in(graph.parent)
    session = open_session(graph, threads=threads, device="cpu", kernels=kernels)
    names = [node.name for node in session.get_inputs()]
    return lambda item: session.run(None, {name: arrays(item)[name] for name in names})[0]


def milliseconds(run: Callable[[], object], threads: int) -> float:
    """Return the time of the fastest of some runs: the processor's on one thread, and the wall's on more."""
    clock = time.thread_time if threads == 1 else time.perf_counter
    times = []
    for _ in range(RUNS):
        begin = clock()
        run()
        times.append(clock() - begin)
    return min(times) * 1e3


def name_of(threads: int) -> str:
    """Return the beginning of a result's name, by which a table has those of one number of threads."""
    return NAME if threads == 1 else f"threads_{threads}_{NAME}"


def labels(run: Callable[[Item], Any], items: Sequence[Item]) -> list[int]:
    return [int(np.argmax(run(item))) for item in items]


def measure(
    runs: Mapping[str, Callable[[Item], Any]], texts: Mapping[str, Item], turns: int, threads: int
) -> tuple[dict[tuple[str, str], float], float]:
    """Return the time of each graph on each text, and that of the peak's product, in milliseconds."""
    nowhere = Path()
    setting = Setting(
        model=nowhere, artefact=nowhere, scratch=nowhere, items=nowhere, threads=threads
    )
    peak = matrix_product(setting)
    feeds = peak.prepare(Item(text="", ids=()))
    times: dict[tuple[str, str], list[float]] = {}
    of_peak = []
    for _ in range(turns):
        of_peak.append(milliseconds(lambda: peak.run(feeds), threads))
        for length, item in texts.items():
            for name, run in runs.items():
                took = milliseconds(partial(run, item), threads)
                times.setdefault((name, length), []).append(took)
    return {key: _least_disturbed(found) for key, found in times.items()}, _least_disturbed(of_peak)


def _least_disturbed(times: Sequence[float]) -> float:
    return float(np.percentile(times, PERCENTILE))


def rows(
    times: Mapping[tuple[str, str], float],
    peak_ms: float,
    texts: Mapping[str, Item],
    same: Mapping[str, str],
    config: Mapping[str, int],
) -> list[Row]:
    """Return the lines of the table."""
    found: list[Row] = []
    for name, agreement in same.items():
        row: Row = {"what": name, "same label": agreement}
        for length, item in texts.items():
            limit = macs(config, len(item.ids)) / MACS * peak_ms
            ms, plain = times[name, length], times[PLAIN.name, length]
            row[length] = f"{ms:.2f} ({ms / plain:.2f}×, {ms / limit:.2f} of the peak's)"
        found.append(row)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.inference.kernels", description=__doc__
    )
    parser.add_argument("--model", type=Path, required=True, help="a folder with eval.jsonl")
    parser.add_argument("--turns", type=int, default=40)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rows", type=int, help="rows whose labels are compared; all otherwise")
    args = parser.parse_args()
    items, workloads = work(args.model)
    texts = {f"{n} tokens": items[workloads[f"{n} tokens"][0]] for n in LENGTHS}
    compared = items[: -len(LENGTHS)][: args.rows]
    with tempfile.TemporaryDirectory() as scratch:
        made = graphs(args.model, items, Path(scratch))
        runs = {name: runner(path, args.threads) for name, path in made.items()}
        full = labels(runs.pop("fp32 fused"), compared)
        same = {
            name: f"{statistics.mean(a == b for a, b in zip(labels(run, compared), full, strict=True)):.2%}"
            for name, run in runs.items()
        }
        times, peak_ms = measure(runs, texts, args.turns, args.threads)
    config = json.loads((args.model / "config.json").read_text("utf-8"))
    publish(
        f"{name_of(args.threads)}_{processor_of(machine())}",
        rows(times, peak_ms, texts, same, config),
        command="benchmarks.inference.kernels",
        clock="cpu" if args.threads == 1 else "wall",
        threads=args.threads,
        turns=args.turns,
        rows_compared=len(compared),
        int8_peak_gmacs=round(MACS / peak_ms / 1e6, 1),
    )


if __name__ == "__main__":
    main()
