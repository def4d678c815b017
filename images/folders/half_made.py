"""Files and folders that are half-made: hidden, each named after its process, and gone when that is.

A process that is killed removes nothing. What it left is removed by the next one that makes something there.
"""

import errno
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from uuid import uuid4

PREFIX = ".half-"
# A disk with less free space than this counts as full.
MIN_FREE_BYTES = 1 << 20
OF_DISKS = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EROFS)
# Linux has a folder for each process there. Where it has none, nothing is taken for abandoned.
PROCESSES = Path("/proc")


@contextmanager
def naming(folder: Path) -> Iterator[None]:
    """Name the folder in errors of a disk that name no file, as those of a write to a full one do not."""
    try:
        yield
    except OSError as error:
        if error.filename is None and error.errno in OF_DISKS:
            raise OSError(error.errno, error.strerror, str(folder)) from error
        raise


def half_path(folder: Path) -> Path:
    """Return a new name for what is half-made in a folder, having removed what killed processes left there."""
    for path in folder.glob(f"{PREFIX}*") if (PROCESSES / "self").exists() else ():
        process = path.name.removeprefix(PREFIX).partition("-")[0]
        if not (PROCESSES / process).exists():
            remove(path)
    return folder / f"{PREFIX}{os.getpid()}-{uuid4().hex}"


@contextmanager
def half_made(folder: Path) -> Iterator[Path]:
    """Yield a new folder within a folder for the block; errors of a disk that name no file name the latter."""
    folder.mkdir(parents=True, exist_ok=True)
    half = half_path(folder)
    half.mkdir()
    try:
        with naming(folder):
            yield half
    finally:
        shutil.rmtree(half, ignore_errors=True)


def check_space(said: str, folder: Path) -> None:
    """Raise the error of a full disk if a program that failed met one, that of a folder.

    Some say so; tar says no more than how many bytes it wrote.
    """
    reason = os.strerror(errno.ENOSPC)
    if reason in said or shutil.disk_usage(folder).free < MIN_FREE_BYTES:
        raise OSError(errno.ENOSPC, reason, str(folder))


def remove(path: Path) -> None:
    """Remove a file, a link or a folder, as far as the system lets this user."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with suppress(OSError):
            path.unlink()
