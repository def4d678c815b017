"""Contenders opened side by side with the kernel, measured in rounds: what the three tables of inference share."""

import statistics
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.contenders import OURS, PEAK, Contender, Setting
from benchmarks.contenders.peak import MACS
from benchmarks.contenders.process import Failed, Process
from benchmarks.rounds import Kept, kept, measure

KERNEL_RUNS = 3


def tell(line: str) -> None:
    print(line, flush=True)  # a run is long, and its output often a file


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """What counts of the rounds, the versions that ran, and why contenders that are missing are."""

    kept: Kept
    versions: Mapping[str, str]
    missing: Mapping[str, str]
    answers: Mapping[str, list[list[int]]]


def run(
    contenders: Sequence[Contender],
    setting: Setting,
    workloads: Mapping[str, Sequence[int]],
    *,
    envs: Path,
    rounds: int,
    read: Sequence[int] = (),
) -> Measured:
    """Measure the contenders on workloads, which are items by name; `read` are the items they are to answer."""
    with ExitStack() as stack:
        opened, versions, missing = _open(contenders, setting, envs, stack)
        kernel = stack.enter_context(Process(PEAK, setting, envs, setting.scratch / "peak.log"))
        kernel.ready()
        answers: dict[str, list[list[int]]] = {}
        for name, process in opened.items() if read else ():
            tell(f"asking {name} for its answers")
            answers[name] = process.read(read)

        def ask(name: str, workload: str, repeats: int) -> list[float]:
            items = workloads[workload]
            return [ms / len(items) for ms in opened[name].time(items, repeats)]

        readings = measure(
            list(opened),
            list(workloads),
            ask,
            lambda: statistics.median(kernel.time([0], KERNEL_RUNS)),
            rounds,
            tell,
        )
    return Measured(kept=kept(readings), versions=versions, missing=missing, answers=answers)


def _open(
    contenders: Sequence[Contender], setting: Setting, envs: Path, stack: ExitStack
) -> tuple[dict[str, Process], dict[str, str], dict[str, str]]:
    opened: dict[str, Process] = {}
    versions: dict[str, str] = {}
    missing: dict[str, str] = {}
    for contender in contenders:
        log = setting.scratch / f"{contender.opens.replace(':', '-')}.log"
        try:
            process = stack.enter_context(Process(contender, setting, envs, log))
            versions[contender.name] = process.ready()
        except (Failed, FileNotFoundError) as error:
            tell(f"left out: {error}")
            missing[contender.name] = str(error)
            continue
        opened[contender.name] = process
    return opened, versions, missing


def cell(kept: Kept, contender: str, workload: str, *, per: int = 1) -> str:
    """Milliseconds, and how many times ours; a dash where too few readings count."""
    ms, ours = kept.median(contender, workload), kept.median(OURS, workload)
    if ms is None:
        return "–"
    return f"{ms / per:.2f}" if ours is None else f"{ms / per:.2f} ({ms / ours:.2f}×)"


def same(answers: Sequence[Sequence[int]], reference: Sequence[Sequence[int]]) -> float:
    """The share of values that are the reference's."""
    pairs = [
        pair
        for one, two in zip(answers, reference, strict=True)
        for pair in zip(one, two, strict=True)
    ]
    return sum(one == two for one, two in pairs) / len(pairs)


def told(measured: Measured, setting: Setting) -> dict[str, Any]:
    """What a result keeps of a run besides its table."""
    kept = measured.kept
    return {
        "threads": setting.threads,
        "clock": setting.clock,
        "versions": dict(measured.versions),
        "left_out": dict(measured.missing),
        "readings": kept.made,
        "readings_kept": kept.count,
        "int8_peak_gmacs": round(MACS / kept.kernel_ms / 1e6, 1),
        "kernel_ms": round(kept.kernel_ms, 3),
        "kept": {f"{c}, {w}": len(values) for (c, w), values in sorted(kept.ms.items())},
    }
