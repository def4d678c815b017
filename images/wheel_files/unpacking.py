"""One wheel, unpacked as it would be installed, and checked against its own RECORD.

https://packaging.python.org/specifications/binary-distribution-format
"""

import base64
import csv
import hashlib
import io
import shutil
import stat
import zipfile
import zlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import BinaryIO, cast

from contracts.problems import Code, Problem
from images.errors import ImageError
from images.folders.half_made import half_made
from images.wheel_files.locks import normalised

# What a wheel may hold beside the files that its RECORD has a digest of: the RECORD itself, and its signatures.
UNRECORDED = ("RECORD", "RECORD.jws", "RECORD.p7s")
ALGORITHMS = ("sha256", "sha384", "sha512")
# Files of these schemes lie in the same folder, as pip's `--target` has it too.
INSTALLED = ("purelib", "platlib", "data")
# Nobody runs commands in a function's image.
LEFT_OUT = ("scripts",)
BROKEN = (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, KeyError)


@dataclass(frozen=True, slots=True, kw_only=True)
class WheelFile:
    """A file of a wheel: its path below site-packages, and where it was unpacked."""

    path: str
    source: Path
    executable: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class _Member:
    """A file of the archive: its path below site-packages, if it is installed, and what RECORD says of it."""

    info: zipfile.ZipInfo
    path: str
    digest: str
    size: str

    @property
    def executable(self) -> bool:
        mode = self.info.external_attr >> 16
        return stat.S_ISREG(mode) and bool(mode & 0o111)

    def matches(self, stream: BinaryIO) -> bool:
        """Return true if a stream has the bytes that RECORD has the digest of."""
        algorithm, _, encoded = self.digest.partition("=")
        if algorithm not in ALGORITHMS:
            return False
        found = hashlib.file_digest(stream, algorithm).digest()  # type: ignore[arg-type]
        return base64.urlsafe_b64encode(found).decode().rstrip("=") == encoded


def unpack_wheel(wheel: Path, folder: Path) -> tuple[WheelFile, ...]:
    """Unpack a wheel into a folder, unless it holds these very files; return them by path.

    Command-line scripts and bytecode are checked and left out. Raise ImageError that lists every fault of the wheel;
    the folder is then as it was.
    """
    try:
        with zipfile.ZipFile(wheel) as archive:
            members = _members(wheel.name, archive)
            if not _holds(folder, archive, members):
                _replace(folder, wheel.name, archive, members)
    except BROKEN as error:
        raise ImageError(wheel.name, [_damaged("", f"is no whole wheel ({error})")]) from error
    installed = {member.path: member.executable for member in members if member.path}
    return tuple(
        WheelFile(path=path, source=folder / path, executable=installed[path])
        for path in sorted(installed)
    )


def _members(name: str, archive: zipfile.ZipFile) -> list[_Member]:
    """Return the files of a wheel; raise ImageError if they are not those that its RECORD lists."""
    infos = [info for info in archive.infolist() if not info.is_dir()]
    if problems := _name_problems(infos):
        raise ImageError(name, problems)
    dist_info = _dist_info(name, infos)
    recorded = _recorded(archive.read(f"{dist_info}/RECORD").decode("utf-8"))
    unrecorded = {f"{dist_info}/{file}" for file in UNRECORDED}
    present = {info.filename for info in infos} - unrecorded
    problems = [_damaged(file, "is not in the wheel") for file in recorded if file not in present]
    problems += [
        _damaged(file, "is not in RECORD") for file in sorted(present) if file not in recorded
    ]
    members = []
    for info in infos:
        digest, size = recorded.get(info.filename, ("", ""))
        path = _installed(info.filename, dist_info)
        members.append(_Member(info=info, path=path, digest=digest, size=size))
    times = Counter(member.path for member in members if member.path)
    problems += [_damaged(path, "is installed twice") for path, count in times.items() if count > 1]
    if problems:
        raise ImageError(name, problems)
    return members


def _holds(folder: Path, archive: zipfile.ZipFile, members: Sequence[_Member]) -> bool:
    """Return true if a folder has each file as the wheel has it."""
    for member in members:
        place = folder / member.path
        if not member.path:
            continue
        if place.is_symlink() or not place.is_file():
            return False
        with place.open("rb") as stream:
            if not member.digest:
                if stream.read() != archive.read(member.info):
                    return False
            elif not member.matches(stream):
                return False
    return bool(members)


def _replace(folder: Path, name: str, archive: zipfile.ZipFile, members: Sequence[_Member]) -> None:
    """Write the files of a wheel beside a folder, and put them in its place if each matches RECORD."""
    with half_made(folder.parent) as temporary:
        half = temporary / "wheel"
        half.mkdir()
        changed = []
        for member in members:
            if member.digest and not _is_recorded(archive, member):
                changed.append(_damaged(member.info.filename, "does not match RECORD"))
            elif member.path:
                _write(archive, member.info, half / member.path)
        if changed:
            raise ImageError(name, changed)
        shutil.rmtree(folder, ignore_errors=True)
        half.rename(folder)


def _name_problems(infos: Sequence[zipfile.ZipInfo]) -> list[Problem]:
    names = Counter(info.filename for info in infos)
    problems = [_damaged(name, "is there twice") for name, times in names.items() if times > 1]
    for info in infos:
        parts = info.filename.split("/")
        if "\\" in info.filename or any(part in ("", ".", "..") for part in parts):
            message = "leads out of its folder; the wheel is not to be trusted"
            problems.append(Problem(code=Code.FILE_OUTSIDE, message=message, where=info.filename))
        elif stat.S_ISLNK(info.external_attr >> 16):
            problems.append(_damaged(info.filename, "is a link, which a wheel cannot hold"))
    return problems


def _dist_info(name: str, infos: Sequence[zipfile.ZipInfo]) -> str:
    """Return the folder of a wheel's metadata; raise ImageError if it is not the one of its name."""
    package, version = name.split("-")[:2]
    found = sorted(
        {
            folder
            for info in infos
            if (folder := info.filename.partition("/")[0]).endswith(".dist-info")
        }
    )
    names = [folder.removesuffix(".dist-info").rpartition("-") for folder in found]
    if [(normalised(own), own_version) for own, _, own_version in names] != [
        (normalised(package), version)
    ]:
        has = ", ".join(found) or "none"
        wanted = f"{package}-{version}.dist-info"
        raise ImageError(name, [_damaged("", f"its metadata must be {wanted}; it has {has}")])
    return found[0]


def _recorded(record: str) -> dict[str, tuple[str, str]]:
    """Return the hash and the size that RECORD has for each file, where it has a hash."""
    rows = [row for row in csv.reader(io.StringIO(record)) if row]
    if any(len(row) != 3 for row in rows):
        raise zipfile.BadZipFile("RECORD has a row without path, hash and size")
    return {path: (digest, size) for path, digest, size in rows if digest}


def _is_recorded(archive: zipfile.ZipFile, member: _Member) -> bool:
    # Sizes are compared first: a file is not read that is longer than its wheel says.
    if member.size not in ("", str(member.info.file_size)):
        return False
    with archive.open(member.info) as stream:
        return member.matches(cast(BinaryIO, stream))


def _installed(file: str, dist_info: str) -> str:
    """Return the path below site-packages of a file in a wheel, or nothing if it is left out."""
    first, *rest = PurePosixPath(file).parts
    if "__pycache__" in rest or file.endswith(".pyc"):
        return ""
    if first != f"{dist_info.removesuffix('.dist-info')}.data":
        return file
    if rest[0] in LEFT_OUT:
        return ""
    if rest[0] not in INSTALLED or len(rest) < 2:
        raise zipfile.BadZipFile(f"{file}: there is no place in an image for the scheme {rest[0]}")
    return "/".join(rest[1:])


def _write(archive: zipfile.ZipFile, info: zipfile.ZipInfo, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    with archive.open(info) as source, target.open("xb") as file:
        shutil.copyfileobj(source, file, 1 << 20)


def _damaged(where: str, message: str) -> Problem:
    return Problem(code=Code.FILE_DAMAGED, message=message, where=where)
