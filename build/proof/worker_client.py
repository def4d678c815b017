"""The clients of `build.proof.worker`: each starts the process, sends it requests, and ends it with the block."""

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

MODULE = "build.proof.worker"


class WorkerProcess(JsonProcess):
    """The process that `command` starts, with this one's environment and `environment`."""

    def __init__(
        self, command: Sequence[str], environment: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(
            command,
            stderr=subprocess.PIPE,
            # `-m` finds the worker in the working folder, whichever Python runs it.
            cwd=ROOT,
            # Bytecode of an emulated Python would lie in the checkout beside our own.
            env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1", **(environment or {})},
        )

    def cannot_run(self, folder: Path, code: int) -> BuildError:
        """Return the error of an artefact whose process has ended, with its last words."""
        assert self.process.stderr
        self.process.kill()
        last = self.process.stderr.read().strip().splitlines()[-1:]
        return BuildError(
            f"{folder.name} cannot be run: its process ended with {code} ({''.join(last)}); build again"
        )


class Worker(WorkerProcess):
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
        command = [*under, python, "-m", MODULE, str(folder.resolve()), str(threads)]
        super().__init__(command, environment)

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
        return self.cannot_run(self.folder, self.process.wait())


class Workers(WorkerProcess):
    """Several artefacts, each in a copy of one process that has imported what runs them."""

    def __init__(self) -> None:
        self.folders: list[Path] = []
        super().__init__([sys.executable, "-m", MODULE])

    def load(self, folder: Path, threads: int) -> float:
        """Load one more artefact, and return the milliseconds that it took; raise BuildError if that fails."""
        self.folders.append(folder)
        answer = self.ask(folder=str(folder.resolve()), threads=threads)
        return float(self._running(folder, answer)["load_ms"])

    def end_all(self) -> None:
        """End the copies, so that their memory is free; the process that has the imports goes on."""
        if self.folders:
            self.ask(end=True)
        self.folders.clear()

    def run(self, folder: Path, request: PredictRequest, *, repeats: int) -> dict[str, Any]:
        """Run a request by one of the artefacts, and return as `Worker.run` does."""
        number = self.folders.index(folder)
        answer = self.ask(**request.to_wire(), worker=number, repeats=repeats, with_outputs=False)
        return self._running(folder, answer)

    def _running(self, folder: Path, answer: dict[str, Any]) -> dict[str, Any]:
        if "ended" in answer:
            raise self.cannot_run(folder, answer["ended"])
        return answer
