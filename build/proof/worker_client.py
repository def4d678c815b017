"""The client of `build.proof.worker`: starts the process, sends it requests, and ends it with the block."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self

from build.errors import BuildError
from contracts.prediction import PredictRequest

ROOT = Path(__file__).parents[2]


class Worker:
    """One artefact in a process of its own; `under` is a command that runs `python`, such as an emulator."""

    def __init__(
        self,
        folder: Path,
        threads: int = 1,
        *,
        under: Sequence[str] = (),
        python: str = sys.executable,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self.folder = folder
        self.process = subprocess.Popen(
            [*under, python, "-m", "build.proof.worker", str(folder.resolve()), str(threads)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            # `-m` finds the worker in the working folder, whichever Python runs it.
            cwd=ROOT,
            # Bytecode of an emulated Python would lie in the checkout beside our own.
            env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1", **(environment or {})},
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.process.kill()
        self.process.communicate()

    def wait_until_loaded(self) -> float:
        """Wait until the artefact is loaded, and return the milliseconds that it took."""
        return float(self._receive()["load_ms"])

    def run(
        self,
        request: PredictRequest,
        *,
        repeats: int = 1,
        with_outputs: bool = False,
        forced: Sequence[int] | None = None,
    ) -> dict[str, Any]:
        """Run a request and return `ms` of each repetition, `units` and `peak_mb` so far, and `outputs` if wanted.

        Units are the tokens that a repetition generated, 1 for other tasks. With `forced`, a generator is run along
        those tokens (see `build.evaluation.teacher_forcing`). Raise BuildError if the process has ended.
        """
        assert self.process.stdin
        line = json.dumps(
            {
                **request.to_wire(),
                "repeats": repeats,
                "with_outputs": with_outputs,
                "forced": forced,
            }
        )
        try:
            self.process.stdin.write(line + "\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            pass  # the process has ended, which `_receive` reports with its last words
        return self._receive()

    def _receive(self) -> dict[str, Any]:
        assert self.process.stdout
        assert self.process.stderr
        line = self.process.stdout.readline()
        if not line:
            last = self.process.stderr.read().strip().splitlines()[-1:]
            code = self.process.wait()
            raise BuildError(
                f"{self.folder.name} cannot be run: its process ended with {code} ({''.join(last)}); build again"
            )
        message: dict[str, Any] = json.loads(line)
        return message
