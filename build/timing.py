"""How long candidates take, side by side: each in a process of its own, asked in turn, round after round.

Machines are shared and their speed drifts, so what counts is the comparison within one build.
"""

import json
import os
import statistics
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from build.errors import BuildError
from contracts.prediction import PredictRequest

LENGTHS = (8, 32, 128, 256)
ROUNDS, REPEATS = 5, 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """Milliseconds by the number of tokens of a request (medians over rounds), to load, and the peak memory in MB."""

    ms: Mapping[int, float]
    load_ms: float
    peak_mb: float


UNTIMED = Timing(ms={}, load_ms=0.0, peak_mb=0.0)


class Timed:
    """A process that has loaded one artefact. It ends with the block, however that ends."""

    def __init__(self, folder: Path, threads: int) -> None:
        self.folder = folder
        self.process = subprocess.Popen(
            [sys.executable, "-m", "build.timed", str(folder.resolve()), str(threads)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=Path(__file__).parents[1],
            env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
        )
        self.load_ms = 0.0
        self.peak_mb = 0.0
        self.ms: dict[int, list[float]] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.process.kill()
        self.process.communicate()

    def ready(self) -> None:
        self.load_ms = self._hear()["load_ms"]

    def ask(self, tokens: int, request: PredictRequest, repeats: int) -> None:
        assert self.process.stdin
        self.process.stdin.write(json.dumps({**request.to_wire(), "repeats": repeats}) + "\n")
        self.process.stdin.flush()
        heard = self._hear()
        self.ms.setdefault(tokens, []).append(statistics.median(heard["ms"]))
        self.peak_mb = heard["peak_mb"]

    def _hear(self) -> Any:
        assert self.process.stdout
        assert self.process.stderr
        line = self.process.stdout.readline()
        if not line:
            last = self.process.stderr.read().strip().splitlines()[-1:]
            raise BuildError(
                f"{self.folder} cannot be timed: its process ended ({''.join(last)}); build again"
            )
        return json.loads(line)

    def timing(self) -> Timing:
        """Medians over the rounds; the first of them, which warms caches, does not count."""
        ms = {tokens: round(statistics.median(took[1:]), 4) for tokens, took in self.ms.items()}
        return Timing(ms=ms, load_ms=round(self.load_ms, 1), peak_mb=round(self.peak_mb, 1))


def time_all(
    folders: Sequence[Path], requests: Mapping[int, PredictRequest], threads: int
) -> list[Timing]:
    """The timing of each artefact, in the order of the folders; `requests` are by their number of tokens."""
    with ExitStack() as stack:
        processes = []
        for folder in folders:  # one after the other, so that each loads undisturbed
            process = stack.enter_context(Timed(folder, threads))
            process.ready()
            processes.append(process)
        for _ in range(ROUNDS + 1):
            for tokens, request in requests.items():
                for process in processes:
                    process.ask(tokens, request, REPEATS)
        return [process.timing() for process in processes]
