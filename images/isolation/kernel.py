"""Isolation by the kernel: namespaces for root, and within a user namespace for everybody else.

No engine is needed. `images/isolation/inside.py` is what runs in the namespaces.
"""

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from images.isolation.inside import MOUNT_POINTS
from images.isolation.limits import FILES, GROUP, TMP_MB, USER

INSIDE = Path(__file__).with_name("inside.py")


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """A program to run in the files of an image, with its whole environment.

    `outside` is its file where the image has none of it. `groups` are the files by which it enters control groups.
    """

    command: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    folder: str = "/"
    outside: str = ""
    groups: tuple[str, ...] = ()


def isolated(root: Path, program: Program) -> tuple[str, ...]:
    """Return the command that runs a program with a folder as its root; without a program it isolates itself and ends.

    Everything that the program has started ends with the process of that command. The command ends with 125 if the
    kernel refuses, and says what.
    """
    plan = {
        "parent": os.getpid(),
        "root": str(root.resolve()),
        "user": USER,
        "group": GROUP,
        "tmp_mb": TMP_MB,
        "files": FILES,
        "program": program.outside,
        "command": program.command,
        "environment": dict(program.environment),
        "folder": program.folder,
        "groups": program.groups,
    }
    return (sys.executable, "-I", "-S", str(INSIDE), json.dumps(plan))


def kernel_problem(root: Path, program: Program | None = None) -> str:
    """Return why a program, or none, cannot be run in an unpacked image by this user; empty if it can be.

    It is tried: systems forbid namespaces in more ways than can be looked up.
    """
    for name in MOUNT_POINTS:
        # Images of other tools may lack them; an engine makes them as well.
        if not os.path.lexists(root / name):
            (root / name).mkdir()
    command = isolated(root, program or Program())
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if not done.returncode:
        return ""
    said = done.stderr.strip() or f"ended with {done.returncode}"
    return f"the kernel does not isolate a process for this user ({said})"
