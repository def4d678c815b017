"""Client of `benchmarks.contenders.worker`."""

import json
import os
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

from benchmarks.contenders import Contender, Setting
from benchmarks.contenders.environments import python_of
from benchmarks.record import ROOT

# Nothing is downloaded, and no library reports what is run.
QUIET = {
    "HF_HUB_OFFLINE": "1",
    "ORT_DISABLE_TELEMETRY": "1",
    "TOKENIZERS_PARALLELISM": "false",
    "TRANSFORMERS_VERBOSITY": "error",
}


class Failed(Exception):
    """A contender's process ended; the message is the last line of its output."""


class Process:
    """A contender that has been opened; it ends with the block that uses it."""

    def __init__(self, contender: Contender, setting: Setting, envs: Path, log: Path) -> None:
        self.contender = contender
        self.log = log
        words = ["-m", "benchmarks.contenders.worker", contender.opens, json.dumps(setting.raw())]
        threads = str(setting.threads)
        with log.open("w", encoding="utf-8") as errors:
            self.process = subprocess.Popen(
                [str(python_of(contender.environment, envs)), *words],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
                cwd=ROOT,
                env={**os.environ, **QUIET, "OMP_NUM_THREADS": threads},
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.process.kill()
        self.process.communicate()

    def ready(self) -> str:
        """Wait until it is opened and return its version; raises Failed."""
        return str(self._hear()["version"])

    def time(self, items: Sequence[int], repeats: int) -> list[float]:
        """Return milliseconds of one pass over the items, for each repetition."""
        return list(map(float, self._ask(time=list(items), repeats=repeats)["ms"]))

    def read(self, items: Sequence[int]) -> list[list[int]]:
        """Return its answer to each of the items."""
        return list(self._ask(read=list(items))["read"])

    def _ask(self, **values: Any) -> dict[str, Any]:
        assert self.process.stdin
        self.process.stdin.write(json.dumps(values) + "\n")
        self.process.stdin.flush()
        return self._hear()

    def _hear(self) -> dict[str, Any]:
        assert self.process.stdout
        line = self.process.stdout.readline()
        if not line:
            last = self.log.read_text("utf-8").strip().splitlines()[-1:]
            raise Failed(f"{self.contender.name}: {''.join(last) or 'its process ended'}")
        heard: dict[str, Any] = json.loads(line)
        return heard
