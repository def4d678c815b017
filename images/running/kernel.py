"""Isolation by the kernel: namespaces and control groups for root, a user namespace for everybody else.

No engine is needed. `images/running/inside.py` is what runs in the namespaces.
"""

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

from images.running.cgroups import Groups, make_groups
from images.running.function import Function
from images.running.inside import MOUNT_POINTS
from images.running.limits import FILES, GROUP, TMP_MB, USER, Limits
from images.running.process import Output, Process, start

INSIDE = Path(__file__).with_name("inside.py")


@dataclass(frozen=True, slots=True, kw_only=True)
class Kernel:
    """The isolation of an unpacked image; `limited` is false where the share of memory and processors is not.

    Without an emulator, the function is given the address of a Runtime API by its variables.
    """

    root: Path
    emulator: Path | None
    limited: bool = True

    def start(
        self, function: Function, arguments: Sequence[str] = (), output: Output = subprocess.PIPE
    ) -> Process:
        """Start a function in the image; raise OSError if a group with its limits cannot be made."""
        groups = Groups()
        if self.limited:
            groups = make_groups(f"turnout-{uuid4().hex[:12]}", function.limits)
        under = ["aws-lambda-rie", *arguments] if self.emulator else []
        plan = {
            "program": str(self.emulator or ""),
            "command": [*under, *function.command],
            "environment": function.environment,
            "folder": function.settings.working_dir,
            "groups": groups.procs,
        }
        popen = start(_command(self.root, plan), output=output)
        return Process(popen=popen, remove=groups.remove)


def kernel_problem(root: Path) -> str:
    """Return why the programs of an unpacked image cannot be isolated here; empty if they can be.

    It is tried: systems forbid namespaces in more ways than can be looked up.
    """
    for name in MOUNT_POINTS:
        # Images of other tools may lack them; an engine makes them as well.
        if not os.path.lexists(root / name):
            (root / name).mkdir()
    done = subprocess.run(_command(root, {}), capture_output=True, text=True, check=False)
    if not done.returncode:
        return ""
    said = done.stderr.strip() or f"ended with {done.returncode}"
    return f"the kernel does not isolate a process for this user ({said})"


def limits_problem(limits: Limits) -> str:
    """Return why memory and processors cannot be limited here; empty if they can be."""
    try:
        make_groups(f"turnout-{uuid4().hex[:12]}", limits).remove()
    except OSError as error:
        return f"{error.filename or 'control groups'}: {error.strerror}"
    return ""


def _command(root: Path, plan: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the command that runs a program in the image; with an empty plan it isolates itself and ends."""
    whole = {
        "parent": os.getpid(),
        "root": str(root.resolve()),
        "user": USER,
        "group": GROUP,
        "tmp_mb": TMP_MB,
        "files": FILES,
        "program": "",
        "command": [],
        "environment": {},
        "folder": "/",
        "groups": [],
        **plan,
    }
    return (sys.executable, "-I", "-S", str(INSIDE), json.dumps(whole))
