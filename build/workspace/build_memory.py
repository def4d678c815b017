"""The memory of the machine that builds: checked before the first step, released after each stage.

Graphs and the objects that edit them refer to each other, so they stay until the garbage collector runs; and the C
library keeps freed memory for itself. A build of 440 MB of weights took 8 GB with both left alone.
"""

import ctypes
import gc
import os
from collections.abc import Sequence
from pathlib import Path

# The peak memory of a build over the size of its weights in full precision, with a reserve (see
# `benchmarks/memory/builds.py`).
PEAK_FACTOR = 3.0
BYTES_PER_WEIGHT = 4
# The libraries of the processes of a build, before any of them has opened a model.
LIBRARIES = 1_000_000_000


def release_memory() -> None:
    """Collect garbage, and return free memory to the system if the C library can (glibc has `malloc_trim`)."""
    gc.collect()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)


def memory_problem(weights: int, memory: int | None = None) -> str:
    """Return why so many weights cannot be built in `memory` bytes, by default the machine's; empty if they can."""
    available = memory or _machine_memory()
    needed = weights * BYTES_PER_WEIGHT * PEAK_FACTOR + LIBRARIES
    if needed <= available:
        return ""
    return (
        f"has {weights / 1e9:.2f} billion weights, which take some {needed / 1e9:.0f} GB of memory to build, and this "
        f"machine has {available / 1e9:.0f} GB; build it on a larger one, or take a smaller model of its family"
    )


def room_for_both(weights: int, memory: int | None = None) -> bool:
    """Return whether two steps of a build may hold a model of so many weights at once, each at its peak.

    0 weights are those of a source that does not count them; there may be no room.
    """
    peaks = 2 * weights * BYTES_PER_WEIGHT * PEAK_FACTOR
    return 0 < peaks <= (memory or _machine_memory()) - LIBRARIES


def room_for_all(sizes: Sequence[int], memory: int | None = None) -> bool:
    """Return whether artefacts of those bytes may be loaded side by side, each of which takes up to twice its size."""
    return 2 * sum(sizes) <= (memory or _machine_memory()) - LIBRARIES


def _machine_memory() -> int:
    return min(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"), *group_limits())


def group_limits(
    process: Path = Path("/proc/self/cgroup"), mounted: Path = Path("/sys/fs/cgroup")
) -> list[int]:
    """Return the bytes that a process's control groups, such as a container's, may hold, where they have a limit.

    Version 1 has a hierarchy of its own for memory: https://docs.kernel.org/admin-guide/cgroup-v1/memory.html,
    https://docs.kernel.org/admin-guide/cgroup-v2.html
    """
    found = []
    for line in process.read_text("utf-8").splitlines() if process.exists() else ():
        number, controllers, group = line.split(":", 2)
        if "memory" in controllers.split(","):
            root, name = mounted / "memory", "memory.limit_in_bytes"
        elif number == "0":
            root, name = mounted, "memory.max"
        else:
            continue
        # A container sees its own group as the root, whatever its name is outside of it.
        place = root / group.lstrip("/")
        for folder in (place, *place.parents):
            limit = folder / name
            if folder.is_relative_to(root) and limit.is_file():
                text = limit.read_text("ascii").strip()
                found += [int(text)] if text.isdigit() else []
    return found
