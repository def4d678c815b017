"""The file system of an image, unpacked from its layers into a folder without root."""

import gzip
import hashlib
import os
import shutil
import tarfile
import zlib
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from contracts.problems import Code, Problem
from images.errors import ImageError
from images.folders.half_made import half_made
from images.layer import OPAQUE, WHITEOUT, Layer

# A path in a header may have a NUL, which is a ValueError, and lie behind links that form a circle, a RuntimeError.
BROKEN = (tarfile.TarError, zlib.error, EOFError, gzip.BadGzipFile, ValueError, RuntimeError)


def root_of(layers: Sequence[Layer], work: Path) -> Path:
    """Return a folder with the files of layers, which is made if missing and whole if it is there."""
    key = hashlib.sha256("\n".join(layer.digest for layer in layers).encode()).hexdigest()
    folder = work / "roots" / key
    if not folder.is_dir():
        with half_made(folder.parent) as half:
            root = half / "root"
            unpack_layers(layers, root)
            # Another process may have been faster; its folder has the same files.
            if not folder.is_dir():
                root.rename(folder)
    return folder


def unpack_layers(layers: Sequence[Layer], root: Path) -> None:
    """Unpack layers in their order into a folder: files, folders and links, without owners, times and devices.

    Raise ImageError for an entry that leads out of the folder, and for an archive that cannot be read.
    """
    root.mkdir(parents=True, exist_ok=True)
    for layer in layers:
        try:
            with tarfile.open(layer.blob, "r:gz") as archive:
                for member in archive:
                    # Many tools write the root itself first.
                    if _parts(member.name) or not member.isdir():
                        _unpack(archive, member, root)
        except BROKEN as error:
            message = f"cannot be unpacked ({error}); remove {layer.blob} and try again"
            problem = Problem(code=Code.FILE_DAMAGED, message=message)
            raise ImageError(layer.digest, [problem]) from error
    # The umask of who unpacks is not that of the image, whose folders all can enter.
    for folder, _, _ in os.walk(root):
        os.chmod(folder, 0o755)


def _unpack(archive: tarfile.TarFile, member: tarfile.TarInfo, root: Path) -> None:
    place = _place(root, member.name)
    if place.name.startswith(WHITEOUT):
        _remove_below(place)
        return
    if member.isdir():
        if place.is_symlink() or not place.is_dir():
            place.unlink(missing_ok=True)
            place.mkdir(parents=True)
        return
    if not (member.isfile() or member.issym() or member.islnk()):
        return  # a device: an unpacked root is not started with its own
    place.parent.mkdir(parents=True, exist_ok=True)
    _remove(place)
    if member.issym():
        place.symlink_to(member.linkname)
    elif member.islnk():
        _link(_place(root, member.linkname), place)
    else:
        source = archive.extractfile(member)
        with place.open("xb") as file:
            if source:
                shutil.copyfileobj(source, file, 1 << 20)
        place.chmod(0o755 if member.mode & 0o111 else 0o644)


def _link(source: Path, place: Path) -> None:
    if not os.path.lexists(source) or (source.is_dir() and not source.is_symlink()):
        raise tarfile.TarError(f"{place.name} is another name of {source.name}, which is no file")
    os.link(source, place, follow_symlinks=False)


def _place(root: Path, name: str) -> Path:
    """Return the path of an entry below the root; raise ImageError if it, or a link on its way, leads out."""
    parts = _parts(name)
    place = root.joinpath(*parts)
    # By its name, a whiteout could remove the folder that it lies in, or the one above.
    last = parts[-1].removeprefix(WHITEOUT) if parts else ""
    outside = ".." in parts or not place.parent.resolve().is_relative_to(root.resolve())
    if outside or last in ("", ".", ".."):
        message = "leads out of the image, which is not to be trusted; take another base, or make it again"
        raise ImageError(name, [Problem(code=Code.FILE_OUTSIDE, message=message)])
    return place


def _parts(name: str) -> tuple[str, ...]:
    return tuple(part for part in PurePosixPath(name).parts if part not in ("/", "//", "."))


def _remove_below(whiteout: Path) -> None:
    if whiteout.name == OPAQUE:
        for path in whiteout.parent.iterdir() if whiteout.parent.is_dir() else ():
            _remove(path)
    else:
        _remove(whiteout.with_name(whiteout.name.removeprefix(WHITEOUT)))


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
