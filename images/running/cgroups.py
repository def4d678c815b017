"""Control groups, by which the kernel limits memory, processors and processes; of version 1 and of version 2.

https://docs.kernel.org/admin-guide/cgroup-v2.html, https://docs.kernel.org/admin-guide/cgroup-v1/
"""

import contextlib
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from images.isolation.limits import PROCESSES, Limits

MOUNTS, OWN = Path("/sys/fs/cgroup"), Path("/proc/self/cgroup")
PROCS = "cgroup.procs"
# The kernel's default; a share is a part of it in microseconds.
PERIOD_US = 100_000
# Seconds until the processes of a group that was killed have left it, on a machine that does much besides.
LEAVING_S = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Groups:
    """The folders of one group, one for each hierarchy that it is in; without any, nothing is limited."""

    folders: tuple[Path, ...] = ()

    @property
    def procs(self) -> tuple[str, ...]:
        """Return the files by which a process enters the group."""
        return tuple(str(folder / PROCS) for folder in self.folders)

    def remove(self) -> None:
        """Remove the group, whose processes were ended just now."""
        deadline = time.monotonic() + LEAVING_S
        for folder in self.folders:
            while folder.is_dir() and time.monotonic() < deadline:
                with contextlib.suppress(OSError):
                    folder.rmdir()
                    break
                time.sleep(0.01)


def make_groups(name: str, limits: Limits, mounts: Path = MOUNTS, own: Path = OWN) -> Groups:
    """Return a new group with limits; raise OSError where the system has no hierarchy that this user may write."""
    made: list[Path] = []
    try:
        for folder, values in _places(name, limits, mounts, own).items():
            folder.mkdir()
            made.append(folder)
            for file, value in values.items():
                (folder / file).write_text(value, "ascii")
    except OSError:
        for folder in made:
            with contextlib.suppress(OSError):
                folder.rmdir()
        raise
    return Groups(folders=tuple(made))


def _places(name: str, limits: Limits, mounts: Path, own: Path) -> Mapping[Path, Mapping[str, str]]:
    """Return the folders of a group, each with its files and what is written to them."""
    quota = str(max(1000, round(limits.cpus * PERIOD_US)))
    memory = str(limits.memory_mb << 20)
    controllers = mounts / "cgroup.controllers"
    if controllers.is_file() and {"cpu", "memory"} <= set(controllers.read_text("ascii").split()):
        # Groups get the controllers that the one above hands down; systemd hands these down already.
        (mounts / "cgroup.subtree_control").write_text("+cpu +memory +pids", "ascii")
        files = {
            "memory.max": memory,
            "memory.swap.max": "0",
            "cpu.max": f"{quota} {PERIOD_US}",
            "pids.max": str(PROCESSES),
        }
        return {mounts / name: files}
    above = _own_groups(own)
    values = {
        "memory": {"memory.limit_in_bytes": memory},
        "cpu": {"cpu.cfs_period_us": str(PERIOD_US), "cpu.cfs_quota_us": quota},
        "pids": {"pids.max": str(PROCESSES)},
    }
    return {
        _within(mounts / controller, above.get(controller, "")) / name: files
        for controller, files in values.items()
    }


def _own_groups(own: Path) -> dict[str, str]:
    """Return the group of this process in each hierarchy of version 1."""
    lines = (line.split(":", 2) for line in own.read_text("ascii").splitlines())
    return {name: path for _, names, path in lines for name in names.split(",")}


def _within(mount: Path, group: str) -> Path:
    """Return the folder of a group, or the hierarchy's own: in a container, the group is not below its mount."""
    folder = mount / group.lstrip("/")
    return folder if folder.is_dir() else mount
