"""A running program of an image, whichever way it was isolated."""

import contextlib
import os
import signal
import subprocess
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Protocol

from images.running.function import Function

Output = int | IO[bytes]
# A program ends with the *thread* that started it (prctl(2), PR_SET_PDEATHSIG). Threads of requests are short-lived;
# this one lives as long as its process.
_starter = ThreadPoolExecutor(max_workers=1, thread_name_prefix="program")


@dataclass(frozen=True, slots=True, kw_only=True)
class Process:
    """The process that a program ends with, and what is left of it when it has ended."""

    popen: subprocess.Popen[bytes]
    stop: Callable[[], None] = lambda: None
    remove: Callable[[], None] = lambda: None

    @property
    def alive(self) -> bool:
        return self.popen.poll() is None

    def end(self) -> None:
        """End the program and everything that it has started: Lambda gives an environment no time for that either."""
        self.stop()
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.popen.pid, signal.SIGKILL)
        self.popen.wait()
        self.remove()


def started_by(process: int) -> list[int]:
    """Return all processes below a process, each after the one that has started it."""
    children: dict[int, list[int]] = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        # A process may have ended meanwhile.
        with contextlib.suppress(OSError):
            # The name of a program may have any character in it, and ends with the last bracket.
            parent = path.read_text("ascii", "replace").rpartition(")")[2].split()[1]
            children.setdefault(int(parent), []).append(int(path.parent.name))
    found = [process]
    for one in found:
        found += children.get(one, [])
    return found[1:]


class Isolation(Protocol):
    """A way to run a function apart from this machine's files and processes."""

    def start(
        self, function: Function, arguments: Sequence[str] = (), output: Output = subprocess.PIPE
    ) -> Process:
        """Start a function, under the emulator with arguments if the isolation has one."""


def start(
    command: Sequence[str],
    environment: Mapping[str, str] | None = None,
    folder: Path | None = None,
    output: Output = subprocess.PIPE,
) -> subprocess.Popen[bytes]:
    """Start a process whose output is one stream, in a session of its own: Ctrl-C reaches its parent alone."""

    def popen() -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            command,
            env=environment,
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )

    return _starter.submit(popen).result()
