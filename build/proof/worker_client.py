"""Client of `build.proof.worker`: a process that has loaded one artefact and ends with the block that uses it."""

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
    """One artefact in a process of its own; `under` is what runs `python`, such as an emulator."""

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
            cwd=ROOT,
            env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1", **(environment or {})},
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.process.kill()
        self.process.communicate()

    def ready(self) -> float:
        """Wait until the artefact is loaded; the milliseconds that took."""
        return float(self._hear()["load_ms"])

    def ask(
        self,
        request: PredictRequest,
        *,
        repeats: int = 1,
        answer: bool = False,
        along: Sequence[int] | None = None,
    ) -> dict[str, Any]:
        """`ms` of each repetition, the `units` that one of them wrote, `peak_mb` so far, and `outputs`.

        Those are told where `answer` asks for them (see build.answer).
        """
        assert self.process.stdin
        line = json.dumps(
            {**request.to_wire(), "repeats": repeats, "answer": answer, "along": along}
        )
        try:
            self.process.stdin.write(line + "\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            pass  # it has ended, which is what is heard next
        return self._hear()

    def _hear(self) -> dict[str, Any]:
        assert self.process.stdout
        assert self.process.stderr
        line = self.process.stdout.readline()
        if not line:
            last = self.process.stderr.read().strip().splitlines()[-1:]
            code = self.process.wait()
            raise BuildError(
                f"{self.folder.name} cannot be asked: its process ended with {code} ({''.join(last)}); build again"
            )
        heard: dict[str, Any] = json.loads(line)
        return heard
