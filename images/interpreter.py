"""The Python of a base, run on this machine from its unpacked files: neither root nor a container is needed."""

import json
import os
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from contracts.problems import Code, Problem
from images.errors import ImageError

# Where Debian, AWS's base and the official Python image have theirs.
PREFIXES = ("usr", "var/lang", "usr/local")
LOADERS = ("lib64/ld-linux-x86-64.so.2", "usr/lib64/ld-linux-x86-64.so.2")
LIBRARIES = ("usr/lib/x86_64-linux-gnu", "lib64", "usr/lib64")
VERSION = "import sys; print('%d.%d %s' % (*sys.version_info[:2], sys.version_info[3]))"


@dataclass(frozen=True, slots=True, kw_only=True)
class Interpreter:
    """A command that runs Python, with the whole environment of its process."""

    command: tuple[str, ...]
    environment: dict[str, str] = field(default_factory=dict)

    def run(self, code: str, given: object = None) -> subprocess.CompletedProcess[str]:
        """Run code with a value as JSON on standard input, apart from the user's site-packages and settings."""
        command = [*self.command, "-I", "-S", "-X", "utf8", "-c", code]
        return subprocess.run(
            command,
            input=json.dumps(given),
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
        )

    def is_python(self, python: str) -> bool:
        """Return true if it runs here and is a final release of a version, which all have the same bytecode."""
        try:
            done = self.run(VERSION)
        except OSError:
            return False
        return done.returncode == 0 and done.stdout.split() == [python, "final"]


def interpreter_of(root: Path, python: str, path: str | None = None) -> Interpreter:
    """Return the interpreter of an unpacked base, or one of its version on the path where that one cannot be run.

    Raise ImageError where neither runs.
    """
    on_path = shutil.which(f"python{python}", path=path)
    candidates = [
        *_own(root.resolve(), python),
        *([Interpreter(command=(on_path,))] if on_path else []),
    ]
    for candidate in candidates:
        if candidate.is_python(python):
            return candidate
    message = (
        f"its Python {python} cannot be run on this machine, and no python{python} is on PATH; "
        f"take Linux on x86-64, or install Python {python}"
    )
    raise ImageError("bytecode", [Problem(code=Code.BASE_UNAVAILABLE, message=message)])


def _own(root: Path, python: str) -> Sequence[Interpreter]:
    """Return the base's own interpreters, each started by the base's own loader with the base's own libraries."""
    loader = next((root / name for name in LOADERS if (root / name).is_file()), None)
    if loader is None:
        return ()
    found = []
    for prefix in PREFIXES:
        executable = root / prefix / f"bin/python{python}"
        if executable.is_file():
            folders = [root / name for name in (*LIBRARIES, f"{prefix}/lib")]
            libraries = os.pathsep.join(str(folder) for folder in folders if folder.is_dir())
            command = (str(loader), "--library-path", libraries, str(executable))
            home = {"PYTHONHOME": str(root / prefix)}
            found.append(Interpreter(command=command, environment=home))
    return found
