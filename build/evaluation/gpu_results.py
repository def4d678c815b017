"""Results of `scripts/gpu_check`: what was measured of an artefact on a GPU, and whether its graph may ship in float16.

A build runs on a processor, which says nothing of how a GPU rounds or how fast it is. So float16 ships only where a
result is there for the very graph: the one in float32 and the one in float16 are named by their SHA-256.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

# The folder of the results, in that of the artefacts; no model can have its name.
FOLDER = "gpu_check"
FULL, HALF = "fp32", "fp16"
CUDA = "cuda"


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """The result of one precision: its graph's SHA-256, its problems, and the milliseconds of a golden row."""

    graph: str
    problems: tuple[str, ...]
    row_ms: float


@dataclass(frozen=True, slots=True, kw_only=True)
class GpuResult:
    """One result file: the artefact that was checked by its digest, where, and each precision."""

    digest: str
    date: str
    device: str
    precisions: Mapping[str, Measured]

    def half_problem(self) -> str:
        """Return why float16 may not ship by this result; empty if it may."""
        full, half = self.precisions.get(FULL), self.precisions.get(HALF)
        if self.device != CUDA:
            return f"the check of {self.date} ran on {self.device}, not on a GPU"
        if full is None or half is None:
            return f"the check of {self.date} has not measured it"
        if half.problems:
            return f"the check of {self.date} on a GPU says: {'; '.join(half.problems)}"
        if half.row_ms >= full.row_ms:
            return f"on a GPU it was no faster on {self.date}: {half.row_ms:g} ms beside {full.row_ms:g} ms"
        return ""


def read_results(out: Path, model: str) -> tuple[GpuResult, ...]:
    """Return the results of a model, the newest first; a file that is none counts for nothing."""
    found = []
    for path in sorted((out / FOLDER).glob(f"{model}-*.json")):
        try:
            document = json.loads(path.read_text("utf-8"))
            if document["model"] == model:
                found.append(_result(document))
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            continue
    return tuple(sorted(found, key=lambda result: result.date, reverse=True))


def _result(document: Mapping[str, Any]) -> GpuResult:
    measured = {
        name: Measured(
            graph=str(one["graph"]),
            problems=tuple(map(str, one["problems"])),
            row_ms=float(one["row_ms"]),
        )
        for name, one in document["precisions"].items()
        if "unavailable" not in one
    }
    return GpuResult(
        digest=str(document["digest"]),
        date=str(document["date"]),
        device=str(document["device"]),
        precisions=measured,
    )


def result_for(results: Sequence[GpuResult], graph: str) -> GpuResult | None:
    """Return the newest result for the artefact whose graph in float32 has that SHA-256."""
    for result in results:
        full = result.precisions.get(FULL)
        if full and full.graph == graph:
            return result
    return None


def half_problem(results: Sequence[GpuResult], model: str, graph: str) -> str:
    """Return why the float16 of a graph may not ship; empty if a result on a GPU says that it may."""
    result = result_for(results, graph)
    if result is None:
        return (
            f"no result of a GPU is there for the graph {graph[:12]} of this artefact; "
            f"`python -m scripts.gpu_check {model}` on a GPU makes one"
        )
    return result.half_problem()
