"""Debian's packages of the base, pinned by version and SHA-256 in a lock, and kept once they are downloaded."""

import json
import os
import subprocess
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from contracts.manifest import file_sha256
from contracts.problems import Code, Problem
from images.debian.apt import Apt, missing_tools
from images.debian.mirrors import sources_of
from images.errors import ImageError
from images.folders.half_made import half_made

ARCHITECTURE = "amd64"
ADVICE = "python -m scripts.renew_bases pins what Debian has now"


@dataclass(frozen=True, slots=True, kw_only=True)
class DebianPackage:
    """A package in one version, with the SHA-256 of its archive."""

    name: str
    version: str
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DebianLock:
    """Packages of one release of Debian."""

    release: str
    packages: tuple[DebianPackage, ...]

    def text(self) -> str:
        return json.dumps(asdict(self), indent=2) + "\n"


def read_debian_lock(lock: Path) -> DebianLock:
    """Return the packages of a lock."""
    document = json.loads(lock.read_text("utf-8"))
    packages = tuple(DebianPackage(**package) for package in document["packages"])
    return DebianLock(release=document["release"], packages=packages)


def archives_of(
    lock: DebianLock, cache: Path, sources: Sequence[str] | None = None
) -> tuple[Path, ...]:
    """Return the archives of a lock's packages, in their order; only those that the cache lacks are downloaded.

    They come from this machine's mirrors unless sources are given, as lines of `sources.list`.

    Raise ImageError for packages that cannot be had, or not as the lock has them.
    """
    cache.mkdir(parents=True, exist_ok=True)
    lacking = [package for package in lock.packages if not _is_cached(package, cache)]
    if lacking:
        _download(sources or sources_of(lock.release), lacking, cache)
    return tuple(_place(package, cache) for package in lock.packages)


def pin(
    release: str, names: Sequence[str], work: Path, sources: Sequence[str] | None = None
) -> DebianLock:
    """Return a lock of the newest version that Debian has of each package; raise ImageError if it has one no more."""
    apt = _apt(sources or sources_of(release), work)
    try:
        apt.update()
        shown = {fields["Package"]: fields for fields in apt.newest(names)}
    except subprocess.CalledProcessError as error:
        raise _unavailable([_said(error)]) from error
    if gone := [name for name in names if name not in shown]:
        raise _unavailable([f"Debian has no package {name}" for name in gone])
    packages = tuple(
        DebianPackage(name=name, version=shown[name]["Version"], sha256=shown[name]["SHA256"])
        for name in sorted(names)
    )
    return DebianLock(release=release, packages=packages)


def _download(sources: Sequence[str], packages: Sequence[DebianPackage], cache: Path) -> None:
    with half_made(cache) as half:
        apt = _apt(sources, half)
        try:
            apt.update()
            wanted = [f"{package.name}={package.version}" for package in packages]
            archives = apt.download(wanted, half / "archives")
        except subprocess.CalledProcessError as error:
            raise _unavailable([_said(error)]) from error
        found = {file_sha256(archive): archive for archive in archives}
        changed = [package for package in packages if package.sha256 not in found]
        if changed:
            message = "is not the file whose SHA-256 the lock has"
            raise _unavailable(
                [f"{package.name} {package.version} {message}" for package in changed]
            )
        for package in packages:
            os.replace(found[package.sha256], _place(package, cache))


def _apt(sources: Sequence[str], work: Path) -> Apt:
    if tools := missing_tools():
        raise _unavailable([f"Debian's {tools} is not installed; take a base that is pulled"])
    return Apt(folder=work / "apt", architecture=ARCHITECTURE, sources=tuple(sources))


def _place(package: DebianPackage, cache: Path) -> Path:
    return cache / f"{package.sha256}.deb"


def _is_cached(package: DebianPackage, cache: Path) -> bool:
    place = _place(package, cache)
    return place.is_file() and file_sha256(place) == package.sha256


def _said(error: subprocess.CalledProcessError) -> str:
    said = (error.stderr or "").strip()
    return f"{error.cmd[0]} ended with {error.returncode}: {said[-1000:]}"


def _unavailable(messages: Iterable[str]) -> ImageError:
    problems = [
        Problem(code=Code.BASE_UNAVAILABLE, message=f"{message}; {ADVICE}") for message in messages
    ]
    return ImageError("Debian's packages for the base", problems)
