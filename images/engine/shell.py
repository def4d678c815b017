"""The layer that an image needs above it where it has no shell, so that SAM can build upon it; never deployed.

SAM runs `RUN mv ... && chmod +x ...` in a Dockerfile of its own on top of every image. Bases that we make have neither
a shell nor tools, which a deployed function needs as little as an attacker should find them.
"""

from collections.abc import Iterable
from pathlib import Path

from images.debian.apt import unpack
from images.debian.packages import archives_of, read_debian_lock
from images.folders.half_made import half_made
from images.layer import Entry
from images.oci.filesystem import Filesystem

LOCK = Path(__file__).with_name("busybox.json")
# What that line of SAM's needs, at the paths where it looks.
PROGRAMS = ("sh", "mv", "chmod")
BUSYBOX = "busybox"


def lacking(filesystem: Filesystem) -> tuple[str, ...]:
    """Return the programs that an image has not got."""
    folders = ("bin", "usr/bin")
    return tuple(
        name
        for name in PROGRAMS
        if not any(filesystem.find(f"{folder}/{name}") for folder in folders)
    )


def shell_entries(filesystem: Filesystem, work: Path, lock: Path = LOCK) -> list[Entry]:
    """Return the entries of a layer that gives an image the programs it lacks; none if it has them.

    They are one program, busybox, in the version that is pinned, downloaded into `work/debs` unless it is there. Raise
    ImageError if it cannot be had.
    """
    names = lacking(filesystem)
    if not names:
        return []
    # `bin` is a link in most systems, and an entry of a layer would take its place.
    folder = filesystem.find("bin")
    place = folder.name.strip("/") if folder else "bin"
    return [
        Entry(path=f"{place}/{BUSYBOX}", source=_busybox(work, lock), executable=True),
        *(Entry(path=f"{place}/{name}", link=BUSYBOX) for name in names),
    ]


def _busybox(work: Path, lock: Path) -> bytes:
    archives = archives_of(read_debian_lock(lock), work / "debs")
    with half_made(work) as folder:
        unpack(archives, folder)
        return _first(folder.glob(f"**/bin/{BUSYBOX}")).read_bytes()


def _first(paths: Iterable[Path]) -> Path:
    return next(iter(sorted(paths)))
