"""Control groups of Linux, version 1, in which a command has a share of the CPUs or a slow disk; needs root."""

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

ROOT = Path("/sys/fs/cgroup")
# The interval in which functions are seen to be stopped on Lambda, which does not document it.
# https://github.com/pwrdrvr/lambda-dispatch/issues/246
PERIOD_US = 20_000
# The most there is: what else runs on this machine does not take from the share of a group that has it.
MOST_SHARES = "262144"


@contextmanager
def group(controller: str, settings: Mapping[str, str]) -> Iterator[Path]:
    """Yield the file that puts a process into a new group with these settings; the group is removed behind it."""
    folder = ROOT / controller / f"benchmark-{uuid4().hex[:12]}"
    if not folder.parent.is_dir():
        sys.exit(f"{folder.parent} is not there: this needs control groups of version 1")
    folder.mkdir()
    try:
        for name, value in settings.items():
            (folder / name).write_text(value, "ascii")
        yield folder / "cgroup.procs"
    finally:
        folder.rmdir()


def cpu_share(vcpus: float) -> Mapping[str, str]:
    """Return the settings of a share of the CPUs, 1.0 for one of them."""
    return {
        "cpu.cfs_period_us": str(PERIOD_US),
        "cpu.cfs_quota_us": str(int(vcpus * PERIOD_US)),
        "cpu.shares": MOST_SHARES,
    }


def slow_disk(path: Path, bytes_per_second: int) -> Mapping[str, str]:
    """Return the settings that read the disk of a path no faster than that."""
    device = os.stat(path).st_dev
    return {
        "blkio.throttle.read_bps_device": f"{os.major(device)}:{os.minor(device)} {bytes_per_second}"
    }


def favour(process: int) -> None:
    """Give the group of a process, which a quota limits, all of that: other processes of this machine come after it."""
    for line in Path(f"/proc/{process}/cgroup").read_text("ascii").splitlines():
        _, controllers, group = line.split(":", 2)
        if "cpu" in controllers.split(","):
            (ROOT / "cpu" / group.lstrip("/") / "cpu.shares").write_text(MOST_SHARES, "ascii")


def run_in(
    groups: Sequence[Path], command: Sequence[str], environment: Mapping[str, str] | None = None
) -> str:
    """Return the output of a command that is in the groups from its start."""
    joined = "; ".join(f"echo $$ > {group}" for group in groups)
    done = subprocess.run(
        ["sh", "-euc", f'{joined}; exec "$@"', "sh", *command],
        capture_output=True,
        text=True,
        check=False,
        env=environment,
    )
    if done.returncode:
        sys.exit(f"{' '.join(command)} ended with {done.returncode}:\n{done.stderr}")
    return done.stdout
