"""A child process that is asked and answers in lines of JSON."""

import contextlib
import json
import subprocess
import tempfile
from collections.abc import Sequence
from typing import Any, Self

from build.workspace.isolated_process import isolated


class JsonProcess:
    """A process that ends with the block that uses it; `options` are those of Popen."""

    def __init__(self, command: Sequence[str], **options: Any) -> None:
        self.process: subprocess.Popen[str] = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, **options
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.process.kill()
        self.process.communicate()

    def ask(self, **values: Any) -> dict[str, Any]:
        """Send the values and return the answer to them."""
        self.send(**values)
        return self.receive()

    def send(self, **values: Any) -> None:
        """Send the values and wait for nothing."""
        assert self.process.stdin
        # A process that has ended is reported with its last words, by `receive`.
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.write(json.dumps(values) + "\n")
            self.process.stdin.flush()

    def receive(self) -> dict[str, Any]:
        """Return the next line that the process writes; raise what `ended` returns if there is none."""
        assert self.process.stdout
        line = self.process.stdout.readline()
        if not line:
            raise self.ended()
        message: dict[str, Any] = json.loads(line)
        return message

    def ended(self) -> Exception:
        """Return the error of a process that has ended."""
        return EOFError(f"{self.process.args!r} ended with {self.process.wait()}")


class IsolatedJsonProcess(JsonProcess):
    """One without a network and without credentials; `variables` are added to the few that it keeps."""

    def __init__(self, command: Sequence[str], cwd: Any = None, **variables: str) -> None:
        # A pipe that nobody reads would stop a library that warns a lot.
        self.errors = tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace")
        super().__init__(isolated(command, **variables), stderr=self.errors, cwd=cwd)

    def __exit__(self, *error: object) -> None:
        super().__exit__(*error)
        self.errors.close()

    def last_line(self) -> str:
        """Return the last line that the process wrote to standard error."""
        self.errors.seek(0)
        return "".join(self.errors.read().strip().splitlines()[-1:])
