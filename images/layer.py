"""Layers: tar archives with the same bytes wherever, whenever and by whomever they are made.

Entries are sorted, and have no times, owners or modes of this machine. The digest of the archive (`diff_id`) is the
same everywhere; that of its gzip stream is the same where zlib is.
"""

import gzip
import io
import tarfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from contracts.problems import Code, Problem
from images.blob import BlobWriter, blob_path, new_blob
from images.errors import ImageError

# Of 188 MB of Python packages: 7.5 s. Level 1 takes 3.9 s, and each push and pull 7 % more bytes.
LEVEL = 6
CHUNK = 1 << 20
# Everybody may write there, as on every system: an engine that mounts its own there takes over the image's mode.
FOLDER_MODES = {"tmp": 0o1777}
# An entry of such a name would remove a file of a lower layer.
# https://github.com/opencontainers/image-spec/blob/v1.1.0/layer.md#whiteouts
WHITEOUT = ".wh."
# One that removes what a folder has in lower layers.
OPAQUE = f"{WHITEOUT}{WHITEOUT}.opq"


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One path of a layer: a file with the bytes of its source, a symbolic link, or else a folder.

    `path` is relative to the image's root, in POSIX form. The mode of a source is not taken over: every file can be
    read by all, and be executed by all if it is `executable`.
    """

    path: str
    source: Path | bytes | None = None
    link: str = ""
    executable: bool = False

    @property
    def is_folder(self) -> bool:
        return self.source is None and not self.link


@dataclass(frozen=True, slots=True, kw_only=True)
class Layer:
    """A written layer: its compressed archive, the digest and bytes of that, and the digest of the archive itself."""

    blob: Path
    digest: str
    diff_id: str
    size: int


def write_layer(entries: Iterable[Entry], folder: Path) -> Layer:
    """Write the entries, and the folders above them, as a layer into a folder of blobs.

    The blob is there whole or not at all. Raise ImageError with every entry that a layer cannot have, and OSError where
    a source cannot be read or the disk is full.
    """
    given = tuple(entries)
    if problems := entry_problems(given):
        raise ImageError("a layer cannot be written", problems)
    with new_blob(folder) as compressed:
        # By default the header of gzip holds the time and a name.
        with gzip.GzipFile("", "wb", LEVEL, compressed, mtime=0) as stream:
            archive = BlobWriter(stream)
            for entry in sorted((*given, *_folders_above(given)), key=lambda entry: entry.path):
                _write_entry(entry, archive)
            # Two blocks of zeros end an archive, and readers take whole records.
            archive.write(bytes(2 * tarfile.BLOCKSIZE))
            archive.write(bytes(-archive.size % tarfile.RECORDSIZE))
    return Layer(
        blob=blob_path(folder, compressed.digest),
        digest=compressed.digest,
        diff_id=archive.digest,
        size=compressed.size,
    )


def _folders_above(entries: tuple[Entry, ...]) -> Iterator[Entry]:
    """Yield every folder above an entry that is not given itself: Lambda refuses layers that leave one out."""
    above = {str(parent) for entry in entries for parent in PurePosixPath(entry.path).parents}
    for path in above - {"."} - {entry.path for entry in entries}:
        yield Entry(path=path)


def _write_entry(entry: Entry, archive: BlobWriter) -> None:
    if entry.source is None:
        archive.write(_header(entry, 0))
        return
    size = _size(entry.source)
    with _opened(entry.source) as file:
        archive.write(_header(entry, size))
        start = archive.size
        while chunk := file.read(CHUNK):
            archive.write(chunk)
        if archive.size - start != size:
            message = f"{entry.source!s} was changed while it was read; try again when nothing writes to it"
            raise ImageError("a layer cannot be written", [_problem(entry, message)])
        archive.write(bytes(-size % tarfile.BLOCKSIZE))


def _opened(source: Path | bytes) -> BinaryIO:
    return io.BytesIO(source) if isinstance(source, bytes) else source.open("rb")


def _size(source: Path | bytes) -> int:
    return len(source) if isinstance(source, bytes) else source.stat().st_size


def _header(entry: Entry, size: int) -> bytes:
    """Return the header of an entry; tarfile's own defaults are the time 0 and the owner 0 without a name."""
    info = tarfile.TarInfo(entry.path)
    info.size, info.linkname = size, entry.link
    info.type = tarfile.SYMTYPE if entry.link else tarfile.DIRTYPE
    info.mode = 0o777 if entry.link else FOLDER_MODES.get(entry.path, 0o755)
    if entry.source is not None:
        info.type = tarfile.REGTYPE
        info.mode = 0o755 if entry.executable else 0o644
    # PAX records are written where a path is long or not ASCII, or a file larger than 8 GiB.
    return info.tobuf(tarfile.PAX_FORMAT)


def entry_problems(entries: tuple[Entry, ...]) -> list[Problem]:
    """Return everything that keeps the entries from being a layer, each with the path that it is about."""
    counts = Counter(entry.path for entry in entries)
    kinds = {
        entry.path: "link" if entry.link else "file" for entry in entries if not entry.is_folder
    }
    return [
        *(_problem(entry, found) for entry in entries for rule in RULES if (found := rule(entry))),
        *(
            _problem(entry, f"lies in {above}, which is a {kinds[above]}; rename one of them")
            for entry in entries
            for above in map(str, PurePosixPath(entry.path).parents)
            if above in kinds
        ),
        *(
            _problem(Entry(path=path), f"is given {count} times; leave out all but one")
            for path, count in counts.items()
            if count > 1
        ),
    ]


def _problem(entry: Entry, message: str) -> Problem:
    return Problem(code=Code.LAYER_INVALID, where=repr(entry.path), message=message)


def _path_within(entry: Entry) -> str:
    """Return the problem of a path that is not one within the image, written in the one way that it can be."""
    if {"", ".", ".."} & set(entry.path.split("/")):
        return "leads out of the image or has needless parts; give a relative path without '.', '..' and empty parts"
    return ""


def _text(entry: Entry) -> str:
    """Return the problem of characters that no path has: NUL, and bytes of a name that is not UTF-8."""
    for text in (entry.path, entry.link):
        if "\0" in text or text.encode(errors="ignore").decode() != text:
            return "has a NUL or bytes that are not UTF-8 in it or in its link; rename the file"
    return ""


def _removes(entry: Entry) -> str:
    """Return the problem of a name that would remove another file."""
    if any(part.startswith(WHITEOUT) for part in entry.path.split("/")):
        return f"begins with {WHITEOUT}, by which layers remove files; rename it"
    return ""


def _kind(entry: Entry) -> str:
    """Return the problem of an entry that is two things, or whose source is no file."""
    if entry.link and entry.source is not None:
        return "is a file and a link; give a source or a link"
    if isinstance(entry.source, Path) and not entry.source.is_file():
        return f"{entry.source} is no file that can be read; give a regular file"
    return ""


RULES: tuple[Callable[[Entry], str], ...] = (_path_within, _text, _removes, _kind)
