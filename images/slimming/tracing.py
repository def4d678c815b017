"""The files below a folder that are opened by whatever process, as the kernel's fanotify reports them.

It sees what C code opens as well: shared libraries, their loader, a tokenizer. It takes root. fanotify(7)
"""

import ctypes
import os
import struct
import sys
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

# <linux/fanotify.h>
CLOEXEC, NONBLOCK, UNLIMITED_QUEUE = 0x1, 0x2, 0x10
MARK_ADD, MARK_FILESYSTEM = 0x1, 0x100
OPEN, OPEN_EXEC, OVERFLOW = 0x20, 0x1000, 0x4000
HERE = -100
# struct fanotify_event_metadata: length, version, reserved, its own length, mask, descriptor, process.
EVENT = struct.Struct("=IBBHQii")
# A file by its device and its number. A process with a root of its own has another path to it, or none by now.
Identity = tuple[int, int]


@dataclass(slots=True)
class Opened:
    """The paths of files that were opened, relative to the folder; complete when the block has ended.

    A file with several names is there by all of them.
    """

    paths: set[str] = field(default_factory=set)


@contextmanager
def opened_below(folder: Path) -> Iterator[Opened]:
    """Yield the files below a folder that are opened during the block; raise OSError if the kernel refuses to tell."""
    found = Opened()
    library = ctypes.CDLL(None, use_errno=True)
    descriptor = library.fanotify_init(CLOEXEC | NONBLOCK | UNLIMITED_QUEUE, os.O_RDONLY)
    if descriptor < 0:
        raise _error(folder)
    try:
        # A process with mounts of its own is not seen by a mark on one mount of this process.
        mark = [ctypes.c_int(descriptor), ctypes.c_uint(MARK_ADD | MARK_FILESYSTEM)]
        wanted = ctypes.c_uint64(OPEN | OPEN_EXEC)
        if library.fanotify_mark(*mark, wanted, ctypes.c_int(HERE), os.fsencode(folder)) < 0:
            raise _error(folder)
        yield found
        found.paths.update(_named(folder, set(_read(descriptor))))
    finally:
        os.close(descriptor)


def _named(folder: Path, files: Collection[Identity]) -> Iterator[str]:
    """Yield the paths below a folder that are names of files."""
    for above, _, names in os.walk(folder):
        for path in (Path(above, name) for name in names):
            status = path.lstat()
            if (status.st_dev, status.st_ino) in files:
                yield path.relative_to(folder).as_posix()


def _read(descriptor: int) -> Iterator[Identity]:
    """Yield the file of each event that waits; each holds a descriptor, which is closed."""
    while True:
        try:
            data = os.read(descriptor, 1 << 16)
        except BlockingIOError:
            return
        place = 0
        while place < len(data):
            length, _, _, _, mask, file, _ = EVENT.unpack_from(data, place)
            place += length
            if mask & OVERFLOW:
                raise OSError("fanotify has lost events; trace again on a quieter machine")
            if file >= 0:
                status = os.fstat(file)
                yield status.st_dev, status.st_ino
                os.close(file)


def _error(folder: Path) -> OSError:
    number = ctypes.get_errno()
    return OSError(
        number, f"{os.strerror(number)} ({sys.platform}; tracing takes root)", str(folder)
    )
