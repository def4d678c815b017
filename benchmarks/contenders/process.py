"""Client of `benchmarks.contenders.worker`."""

import json
import os
from collections.abc import Sequence
from pathlib import Path

from benchmarks.contenders import Contender, Setting
from benchmarks.contenders.environments import python_of
from benchmarks.record import ROOT
from build.workspace.json_process import JsonProcess

# Nothing is downloaded, and no library reports what is run.
QUIET = {
    "HF_HUB_OFFLINE": "1",
    "ORT_DISABLE_TELEMETRY": "1",
    "TOKENIZERS_PARALLELISM": "false",
    "TRANSFORMERS_VERBOSITY": "error",
}


class Failed(Exception):
    """A contender's process ended; the message is the last line of its output."""


class Process(JsonProcess):
    """A contender that has been opened; it ends with the block that uses it."""

    def __init__(self, contender: Contender, setting: Setting, envs: Path, log: Path) -> None:
        self.contender = contender
        self.log = log
        words = ["-m", "benchmarks.contenders.worker", contender.opens, json.dumps(setting.raw())]
        threads = str(setting.threads)
        with log.open("w", encoding="utf-8") as errors:
            super().__init__(
                [str(python_of(contender.environment, envs)), *words],
                stderr=errors,
                cwd=ROOT,
                env={**os.environ, **QUIET, "OMP_NUM_THREADS": threads},
            )

    def ready(self) -> str:
        """Wait until it is opened and return its version; raises Failed."""
        return str(self.receive()["version"])

    def time(self, items: Sequence[int], repeats: int, *, together: bool = False) -> list[float]:
        """Return milliseconds of one pass over the items, or of one run of all, for each repetition."""
        answer = self.ask(time=list(items), repeats=repeats, together=together)
        return list(map(float, answer["ms"]))

    def read(self, items: Sequence[int]) -> list[list[int]]:
        """Return its answer to each of the items."""
        return list(self.ask(read=list(items), together=False)["read"])

    def vectors(self, items: Sequence[int]) -> list[list[float]]:
        """Return the vector of each of the items, which are run together."""
        return list(self.ask(read=list(items), together=True)["read"])

    def ended(self) -> Exception:
        """Return the error of a process that has ended, with the last line of its log."""
        last = self.log.read_text("utf-8").strip().splitlines()[-1:]
        return Failed(f"{self.contender.name}: {''.join(last) or 'its process ended'}")
