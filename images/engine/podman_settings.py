"""The settings that Podman needs on machines where its own cannot be had.

As root it asks for more open files and processes than any limit, and takes the newest cgroups. Root without
CAP_SYS_RESOURCE cannot raise a limit (`crun: setrlimit RLIMIT_NOFILE: Operation not permitted`), and crun refuses the
hybrid cgroups of older systems. Both keep every container from starting.
"""

import os
import re
import resource
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from images.blob import write_atomically

# Bit of CAP_SYS_RESOURCE in the sets of capabilities: capabilities(7), linux/capability.h.
SYS_RESOURCE = 24
VARIABLE = "CONTAINERS_CONF"
SYSTEM_FILE = Path("/etc/containers/containers.conf")


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """The facts of a machine that decide whether Podman's own settings can be had."""

    root: bool
    may_raise: bool
    open_files: int
    processes: int
    hybrid_cgroups: bool
    runc: bool


def limits_here() -> Limits:
    """Return the facts of this machine."""
    status = Path("/proc/self/status").read_text("ascii")
    found = re.search(r"^CapEff:\s*([0-9a-f]+)", status, re.MULTILINE)
    capabilities = int(found[1], 16) if found else 0
    pid_max = int(Path("/proc/sys/kernel/pid_max").read_text("ascii"))
    processes = resource.getrlimit(resource.RLIMIT_NPROC)[1]
    return Limits(
        root=os.geteuid() == 0,
        may_raise=bool(capabilities >> SYS_RESOURCE & 1),
        open_files=resource.getrlimit(resource.RLIMIT_NOFILE)[1],
        # Podman lowers its own limit to pid_max before it starts a container, and more than that is refused as well.
        processes=pid_max if processes == resource.RLIM_INFINITY else min(processes, pid_max),
        hybrid_cgroups=Path("/sys/fs/cgroup/unified").is_dir(),
        runc=shutil.which("runc") is not None,
    )


def settings(limits: Limits) -> str:
    """Return the text of a containers.conf for such a machine; empty where Podman's own settings can be had."""
    lines = []
    if limits.root and not limits.may_raise:
        ulimits = f'"nofile={limits.open_files}:{limits.open_files}", "nproc={limits.processes}:{limits.processes}"'
        lines += ["[containers]", f"default_ulimits = [{ulimits}]"]
    if limits.hybrid_cgroups and limits.runc:
        lines += ["[engine]", 'runtime = "runc"']
    return "".join(f"{line}\n" for line in lines)


def environment(
    folder: Path,
    given: Mapping[str, str] = os.environ,
    limits: Limits | None = None,
    system: Path = SYSTEM_FILE,
) -> dict[str, str]:
    """Return the variables that Podman is to be started with, having written the file that they name.

    It is read in place of all other files, so there is none where the user or the system has one.
    https://docs.podman.io/en/v4.3/markdown/podman.1.html#containers-conf
    """
    text = settings(limits or limits_here())
    if not text or VARIABLE in given or system.exists():
        return {}
    file = folder.resolve() / "containers.conf"
    write_atomically(file, text)
    return {VARIABLE: str(file)}


def advice(limits: Limits | None = None) -> str:
    """Return the lines that a containers.conf of the user's needs, for a message; empty where it needs none."""
    text = settings(limits or limits_here())
    return f"containers.conf needs these lines:\n{text}" if text else ""
