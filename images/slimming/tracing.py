"""The files below a folder that are opened by whatever process, as the kernel's fanotify reports them.

It sees what C code opens as well: shared libraries, their loader, a tokenizer. It takes root. fanotify(7)
"""

import ctypes
import os
import struct
import sys
from collections.abc import Iterator
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
# A path of a process whose root does not hold it.
UNREACHABLE = "(unreachable)"


@dataclass(slots=True)
class Opened:
    """The paths of files that were opened, relative to the folder; complete when the block has ended."""

    paths: set[str] = field(default_factory=set)


@contextmanager
def opened_below(folder: Path) -> Iterator[Opened]:
    """Yield the files below a folder that are opened during the block; raise OSError if the kernel refuses to tell."""
    found = Opened()
    root = f"{folder.resolve()}/"
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
        for path in _read(descriptor):
            if (place := path.removeprefix(UNREACHABLE)).startswith(root):
                found.paths.add(place.removeprefix(root))
    finally:
        os.close(descriptor)


def _read(descriptor: int) -> Iterator[str]:
    """Yield the path of each event that waits; each holds a descriptor, which is closed."""
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
                yield os.readlink(f"/proc/self/fd/{file}")
                os.close(file)


def _error(folder: Path) -> OSError:
    number = ctypes.get_errno()
    return OSError(
        number, f"{os.strerror(number)} ({sys.platform}; tracing takes root)", str(folder)
    )
