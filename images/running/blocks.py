"""The blocks of an image that a start reads, of the size in which Lambda fetches an image.

Lambda flattens the layers of an image into one file system, and loads that in blocks of 512 KiB as they are read:
Brooker et al., On-demand Container Loading in AWS Lambda, https://www.usenix.org/conference/atc23/presentation/brooker.
Its layout is not known. Here the files lie one after another in the order of their layers, each from a new page on.

A page of a file counts if a process has it mapped, as programs and shared libraries are, or a memory-mapped table; of a
file that none has mapped, if it is in the page cache, which is emptied of the files before: mincore(2). The cache alone
would not do, since some disks have the kernel read megabytes ahead. Folders, links and the tables of a file system are
left out.
"""

import ctypes
import mmap
import os
from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from images.oci.filesystem import merged
from images.oci.reading import Layout

BLOCK = 512 << 10
PAGE = mmap.PAGESIZE
# <fcntl.h>: wait for what is being written, write what is not, and wait for that.
SYNC_FILE_RANGE = 1 | 2 | 4

_libc = ctypes.CDLL(None, use_errno=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Blocks:
    """The blocks of 512 KiB that were read, and all that the image has."""

    read: int
    of: int

    @property
    def share(self) -> float:
        return self.read / self.of


def files_of(layout: Layout, root: Path) -> list[Path]:
    """Return the files of an image that was unpacked into a folder, in the order of its layers."""
    members = merged(layout).members
    return [root / path for path, member in members.items() if member.isfile()]


def forget(files: Sequence[Path]) -> bool:
    """Drop files from the page cache; return False where some of it stays.

    It does where a process has one of them mapped, and where the files lie in memory alone (tmpfs).
    """
    # The first call has the kernel begin to write what is not yet on the disk, the second drops what then is.
    for _ in range(2):
        for path in files:
            with path.open("rb") as file:
                os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
                _libc.sync_file_range(
                    file.fileno(),
                    ctypes.c_int64(0),
                    ctypes.c_int64(0),
                    ctypes.c_uint(SYNC_FILE_RANGE),
                )
    return not any(any(pages_of(path)) for path in files)


def blocks_read(files: Sequence[Path], processes: Iterable[int]) -> Blocks:
    """Return the blocks of files, one after another, that processes have read, all of which still run.

    Raise OSError where the kernel does not tell.
    """
    mapped = mapped_by(processes)
    read: set[int] = set()
    place = 0
    for path in files:
        cached = pages_of(path)
        pages = mapped.get(path.stat().st_ino)
        if pages is None:
            pages = {number for number, there in enumerate(cached) if there}
        read.update((place + number) * PAGE // BLOCK for number in pages)
        place += len(cached)
    return Blocks(read=len(read), of=-(-place * PAGE // BLOCK))


def mapped_by(processes: Iterable[int]) -> Mapping[int, set[int]]:
    """Return the pages of files that processes have in their memory, by the number of the file's inode.

    Some file systems show another device there than stat(2) does, so it is not looked at. The kernel maps up to 64 KiB
    around each page that is touched.
    """
    found: dict[int, set[int]] = {}
    for process in processes:
        table = Path("/proc", str(process))
        with (table / "pagemap").open("rb", buffering=0) as pagemap:
            for line in (table / "maps").read_text("utf-8", "replace").splitlines():
                addresses, _, offset, _, inode = line.split(maxsplit=5)[:5]
                if inode == "0":
                    continue
                start, end = (int(address, 16) // PAGE for address in addresses.split("-"))
                entries = array("Q", os.pread(pagemap.fileno(), (end - start) * 8, start * 8))
                first = int(offset, 16) // PAGE
                # Bits 63 and 62: in memory, or swapped out: https://docs.kernel.org/admin-guide/mm/pagemap.html
                pages = {first + number for number, entry in enumerate(entries) if entry >> 62}
                found.setdefault(int(inode), set()).update(pages)
    return found


def pages_of(path: Path) -> Sequence[bool]:
    """Return for each page of a file whether it is in the page cache.

    The kernel tells only who owns the file or may write it: of another one's, all pages seem to be there.
    """
    return tuple(_pages(path))


def _pages(path: Path) -> Iterator[bool]:
    size = path.stat().st_size
    if not size:
        return
    states = (ctypes.c_ubyte * -(-size // PAGE))()
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY) as mapped:
        # A private mapping of which nothing is touched has the pages of the file itself.
        first = ctypes.c_char.from_buffer(mapped)
        failed = _libc.mincore(
            ctypes.c_void_p(ctypes.addressof(first)), ctypes.c_size_t(size), states
        )
        # A mapping is not closed while something refers to it.
        del first
    if failed:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), str(path))
    # The other bits are reserved.
    yield from (bool(state & 1) for state in states)
