"""The measurements of one variant: its answers against the CPU's, its times by length and batch, its memory."""

import resource
import shutil
import statistics
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from build.evaluation.rows import Row
from build.tasks.registry import TASKS
from contracts.manifest import Manifest
from contracts.prediction import PredictRequest
from contracts.specs import Gate
from functions.inference.engine import Engine
from functions.inference.token_batches import BATCH_TOKENS, Feeds, filled

LENGTHS, SIZES = (16, 64, 128, 512), (1, 8, 32)


@dataclass(frozen=True, slots=True, kw_only=True)
class Answers:
    """The outputs of requests, and what the graph returned for each of its runs, in order."""

    outputs: list[list[dict[str, Any]]]
    returned: list[Any]


def answers(engine: Engine, requests: Sequence[PredictRequest]) -> Answers:
    """Run the requests one by one."""
    model: Any = engine.batching
    returned: list[Any] = []

    def forward(feeds: Feeds) -> Any:
        returned.append(model.forward(feeds))
        return returned[-1]

    recording: Any = replace(model, forward=forward)
    outputs = [recording.outputs(request) for request in requests]
    return Answers(outputs=outputs, returned=returned)


def compared(
    manifest: Manifest, requests: Sequence[PredictRequest], now: Answers, reference: Answers
) -> dict[str, Any]:
    """Return the figures of outputs against the CPU's, and the largest difference of what the graphs returned."""
    pairs = zip(now.returned, reference.returned, strict=True)
    return {
        **agreement(manifest, requests, now.outputs, reference.outputs),
        "largest_difference": max(float(np.abs(a - b).max()) for a, b in pairs),
    }


def agreement(
    manifest: Manifest,
    requests: Sequence[PredictRequest],
    now: Sequence[list[dict[str, Any]]],
    reference: Sequence[list[dict[str, Any]]],
) -> dict[str, Any]:
    """Return the figures of outputs against the CPU's, and the problems that the default gate has with them."""
    comparison = TASKS[manifest.task].comparison_of(manifest.details)
    figures = comparison.measure(now, reference, [Row(request=request) for request in requests])
    return {
        "rows": len(requests),
        "similarity": round(figures.similarity, 6),
        "similarity_name": figures.similarity_name,
        "problems": list(figures.problems(Gate())),
    }


def row_ms(engine: Engine, requests: Sequence[PredictRequest], repeats: int) -> float:
    """Return the mean over the requests of the median milliseconds that each takes, asked one by one."""
    return round(
        statistics.mean(median_ms(lambda r=r: engine.predict(r), repeats) for r in requests), 4
    )


def times(engine: Engine, repeats: int, lengths: Sequence[int] = LENGTHS) -> list[dict[str, Any]]:
    """Return the median milliseconds of one run of the graph, and the texts a second, by length and batch."""
    model: Any = engine.batching
    found = []
    for length in lengths:
        for size in SIZES:
            if length > engine.manifest.max_tokens or length * size > BATCH_TOKENS:
                continue
            one = filled(model.input_names, engine.manifest, length)
            feeds = {name: np.repeat(array[:1], size, 0) for name, array in one.items()}
            ms = median_ms(lambda feeds=feeds: model.forward(feeds), repeats)
            rate = round(size / ms * 1e3, 1)
            found.append({"tokens": length, "batch": size, "ms": round(ms, 4), "texts/s": rate})
    return found


def median_ms(call: Any, repeats: int) -> float:
    """Return the median milliseconds of a call; the first two, which take memory and choose kernels, do not count."""
    took = []
    for _ in range(repeats + 2):
        start = time.perf_counter()
        call()
        took.append((time.perf_counter() - start) * 1e3)
    return statistics.median(took[2:])


def memory_mb(device: str) -> int:
    """Return the memory in use: of the GPU, or of this process at its peak."""
    if device == "cpu":
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    return int(_nvidia_smi("memory.used").split()[0])


def device_name(device: str) -> str:
    """Return the GPU's name and its driver; empty on a processor."""
    return "" if device == "cpu" else _nvidia_smi("name,driver_version").strip()


def _nvidia_smi(what: str) -> str:
    program = shutil.which("nvidia-smi")
    if program is None:
        raise SystemExit("nvidia-smi is not there; run the check on a machine with an NVIDIA GPU")
    words = [program, f"--query-gpu={what}", "--format=csv,noheader,nounits"]
    return subprocess.run(words, capture_output=True, text=True, check=True).stdout.splitlines()[0]
