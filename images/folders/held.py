"""Folders that one process at a time may change."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path


def _patient() -> None:
    """Wait without a word."""


@contextmanager
def held(folder: Path, waiting: Callable[[], None] = _patient) -> Iterator[None]:
    """Hold a folder for the block; `waiting` is called if another process holds it, until that lets go or ends.

    The folder itself is locked, so that no file is left over: flock(2). Nothing keeps a process out that does not ask.
    """
    # Windows has no such module, nor has it images to hold.
    import fcntl

    folder.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            waiting()
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
