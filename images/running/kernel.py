"""A function that the kernel isolates, without an engine: by control groups besides for root."""

import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

from images.isolation.kernel import Program, isolated
from images.isolation.limits import Limits
from images.running.cgroups import Groups, make_groups
from images.running.function import Function
from images.running.process import Output, Process, start


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
        under = ("aws-lambda-rie", *arguments) if self.emulator else ()
        program = Program(
            command=(*under, *function.command),
            environment=function.environment,
            folder=function.settings.working_dir,
            outside=str(self.emulator or ""),
            groups=groups.procs,
        )
        popen = start(isolated(self.root, program), output=output)
        return Process(popen=popen, remove=groups.remove)


def limits_problem(limits: Limits) -> str:
    """Return why memory and processors cannot be limited here; empty if they can be."""
    try:
        make_groups(f"turnout-{uuid4().hex[:12]}", limits).remove()
    except OSError as error:
        return f"{error.filename or 'control groups'}: {error.strerror}"
    return ""
