"""The client of `build.proof.worker`: starts the process, sends it requests, and ends it with the block."""

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from build.errors import BuildError
from build.workspace.checkout import ROOT
from build.workspace.json_process import JsonProcess
from contracts.prediction import PredictRequest


class Worker(JsonProcess):
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
        super().__init__(
            [*under, python, "-m", "build.proof.worker", str(folder.resolve()), str(threads)],
            stderr=subprocess.PIPE,
            # `-m` finds the worker in the working folder, whichever Python runs it.
            cwd=ROOT,
            # Bytecode of an emulated Python would lie in the checkout beside our own.
            env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1", **(environment or {})},
        )

    def wait_until_loaded(self) -> float:
        """Wait until the artefact is loaded, and return the milliseconds that it took."""
        return float(self.receive()["load_ms"])

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
        return self.ask(
            **request.to_wire(), repeats=repeats, with_outputs=with_outputs, forced=forced
        )

    def ended(self) -> Exception:
        """Return the error of a process that has ended, with its last words."""
        assert self.process.stderr
        last = self.process.stderr.read().strip().splitlines()[-1:]
        code = self.process.wait()
        return BuildError(
            f"{self.folder.name} cannot be run: its process ended with {code} ({''.join(last)}); build again"
        )
