"""Contenders and the kernel measured in rounds, shared by the tables of inference."""

import json
import math
import statistics
import time
from argparse import Namespace
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.contenders import OURS, PEAK, Contender, Item, Setting
from benchmarks.contenders.peak import MACS
from benchmarks.contenders.process import Failed, Process
from benchmarks.inference.rounds import Kept, kept, measure

KERNEL_RUNS = 3
# Threads that wait for more work spin for up to 200 ms (KMP_BLOCKTIME of OpenMP) and keep the other core busy, so that
# the kernel just behind a contender with several would seem disturbed.
SPINNING_S = 0.25
ITEMS = "items.jsonl"


def report(line: str) -> None:
    print(line, flush=True)  # a run is long, and its output often a file


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """The readings that count, the versions that ran, and the reasons why contenders are missing."""

    setting: Setting
    kept: Kept
    versions: Mapping[str, str]
    missing: Mapping[str, str]
    answers: Mapping[str, list[list[Any]]]


def by_threads(
    contenders: Sequence[Contender],
    args: Namespace,
    items: Sequence[Item],
    workloads: Mapping[str, Sequence[int]],
    read: Sequence[int] = (),
    *,
    together: bool = False,
    minutes: float | None = None,
    name: str = ITEMS,
) -> Iterator[Measured]:
    """Return the measurements for each number of threads; answers to the items in `read` are collected once, first.

    With `together`, the items of a workload are one run. After so many `minutes`, no round begins that is asked for.
    The items are written to a file of that name in the scratch folder.
    """
    path = write_items(args.scratch / name, items)
    for number, threads in enumerate(args.threads):
        setting = setting_of(args, path, threads)
        collected = () if number else read
        yield _measured(contenders, setting, args, workloads, collected, together, minutes)


def write_items(path: Path, items: Sequence[Item]) -> Path:
    """Write the items where contenders read them, and return the path."""
    lines = [
        json.dumps({"text": i.text, "ids": i.ids, "continuation": i.continuation}) for i in items
    ]
    path.write_text("\n".join(lines) + "\n", "utf-8")
    return path


def setting_of(args: Namespace, items: Path, threads: int) -> Setting:
    """Return the arguments of all contenders."""
    return Setting(
        model=args.model,
        artefact=args.artefact,
        scratch=args.scratch,
        items=items,
        threads=threads,
        clock=args.clock,
    )


def over_after(minutes: float | None, clock: Callable[[], float]) -> Callable[[], bool]:
    """Return what tells whether so many minutes are over, never without a number of them."""
    end = math.inf if minutes is None else clock() + minutes * 60
    return lambda: clock() >= end


def _measured(
    contenders: Sequence[Contender],
    setting: Setting,
    args: Namespace,
    workloads: Mapping[str, Sequence[int]],
    read: Sequence[int],
    together: bool,
    minutes: float | None,
) -> Measured:
    with ExitStack() as stack:
        opened, versions, missing = _open(contenders, setting, args.envs, stack)
        kernel = stack.enter_context(opened_process(PEAK, setting, args.envs))
        kernel.ready()
        answers: dict[str, list[list[Any]]] = {}
        for name, process in opened.items() if read else ():
            report(f"collecting the answers of {name}")
            answers[name] = process.vectors(read) if together else process.read(read)

        def run(name: str, workload: str, repeats: int) -> list[float]:
            items = workloads[workload]
            return [ms / len(items) for ms in opened[name].time(items, repeats, together=together)]

        def undisturbed() -> float:
            if setting.threads > 1:
                time.sleep(SPINNING_S)
            return statistics.median(kernel.time([0], KERNEL_RUNS))

        readings = measure(
            list(opened),
            list(workloads),
            run,
            undisturbed,
            args.rounds,
            report,
            over=over_after(minutes, time.monotonic),
        )
    return Measured(
        setting=setting, kept=kept(readings), versions=versions, missing=missing, answers=answers
    )


def opened_process(contender: Contender, setting: Setting, envs: Path) -> Process:
    """Start a contender's process, whose log is kept in the scratch folder."""
    log = setting.scratch / f"{contender.opens.replace(':', '-')}.log"
    return Process(contender, setting, envs, log)


def _open(
    contenders: Sequence[Contender], setting: Setting, envs: Path, stack: ExitStack
) -> tuple[dict[str, Process], dict[str, str], dict[str, str]]:
    """Start all contenders side by side, and return those that were opened, their versions, and why others were not."""
    started: dict[str, Process] = {}
    opened: dict[str, Process] = {}
    versions: dict[str, str] = {}
    missing: dict[str, str] = {}
    for contender in contenders:
        try:
            process = stack.enter_context(opened_process(contender, setting, envs))
            started[contender.name] = process
        except FileNotFoundError as error:
            missing[contender.name] = str(error)
    for name, process in started.items():
        try:
            versions[name] = process.ready()
            opened[name] = process
        except Failed as error:
            missing[name] = str(error)
    for reason in missing.values():
        report(f"left out: {reason}")
    return opened, versions, missing


def cell(kept: Kept, contender: str, workload: str, *, per: int = 1) -> str:
    """Format milliseconds and their multiple of ours; a dash if too few readings count."""
    ms, ours = kept.typical(contender, workload), kept.typical(OURS, workload)
    if ms is None:
        return "–"
    return f"{ms / per:.2f}" if ours is None else f"{ms / per:.2f} ({ms / ours:.2f}×)"


def figure(kept: Kept, contender: str, workload: str) -> float:
    """Return milliseconds; raise SystemExit if too few readings count, so that no table has an empty cell."""
    ms = kept.typical(contender, workload)
    if ms is None:
        raise SystemExit(f"too few readings of {contender} on {workload}: no table is written")
    return ms


def same(answers: Sequence[Sequence[int]], reference: Sequence[Sequence[int]]) -> float:
    """Return the share of values that equal the reference's."""
    pairs = [
        pair
        for one, two in zip(answers, reference, strict=True)
        for pair in zip(one, two, strict=True)
    ]
    return sum(one == two for one, two in pairs) / len(pairs)


def facts_of(measured: Measured) -> dict[str, Any]:
    """Return the facts of a run that a result keeps besides its table."""
    kept = measured.kept
    return {
        "threads": measured.setting.threads,
        "clock": measured.setting.clock,
        "versions": dict(measured.versions),
        "left_out": dict(measured.missing),
        "readings": kept.made,
        "readings_kept": kept.count,
        "int8_peak_gmacs": round(MACS / kept.kernel_ms / 1e6, 1),
        "kernel_ms": round(kept.kernel_ms, 3),
        "kept": {f"{c}, {w}": len(values) for (c, w), values in sorted(kept.ms.items())},
    }
