"""Processes that tests start, and whether they are gone."""

import time
from collections.abc import Iterable
from pathlib import Path


def descendants(pid: int) -> set[int]:
    """Every process that it started, and that those started."""
    found: set[int] = set()
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        for child in map(int, task.read_text("ascii").split()):
            found |= {child} | descendants(child)
    return found


def ended(pids: Iterable[int], wait_s: float = 10) -> bool:
    """Whether all of them end within that time; one that waits to be reaped has ended."""
    deadline = time.monotonic() + wait_s
    while any(map(_alive, pids)):
        if time.monotonic() >= deadline:
            return False
        time.sleep(0.01)
    return True


def _alive(pid: int) -> bool:
    """Whether it runs; one that has ended and was not waited for does not."""
    try:
        return (
            Path(f"/proc/{pid}/stat").read_text("ascii").rpartition(")")[2].split()[0] not in "ZX"
        )
    except FileNotFoundError:
        return False
