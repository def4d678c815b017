"""The wheels of a lock, downloaded once: a cache of files by their SHA-256, which are hashed again at each use."""

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from contracts.manifest import file_sha256
from contracts.problems import Code, Problem
from images.errors import ImageError
from images.folders.half_made import check_space, half_made
from images.wheel_files.locks import Pinned, normalised, read_lock

# The newest glibc that wheels may ask for is that of Amazon Linux 2023, the older of the two bases.
# https://docs.aws.amazon.com/linux/al2023/ug/compare-with-al2.html
GLIBC = 34
# PEP 600 has these names for what others call by the version; pip does not take one for the other.
ALIASES = {17: "manylinux2014", 12: "manylinux2010", 5: "manylinux1"}
PLATFORMS = tuple(
    f"{name}_x86_64"
    for minor in range(GLIBC, 4, -1)
    for name in (f"manylinux_2_{minor}", ALIASES.get(minor))
    if name
)


def wheels_of(lock: Path, cache: Path, python: str) -> tuple[Path, ...]:
    """Return a wheel for each package of a lock, for a version of Python on Linux x86-64, in the order of their names.

    Only those that the cache lacks are downloaded. Raise ImageError for one that cannot be had, or has another digest
    than the lock says.
    """
    packages = read_lock(lock)
    # A wheel for another version of Python may have a digest of the same lock, so each version has a folder.
    folder = cache / f"cp{python.replace('.', '')}"
    folder.mkdir(parents=True, exist_ok=True)
    missing = [package for package in packages if not _cached(package, folder)]
    if missing:
        _download(missing, folder, python)
    wheels = [(package, _cached(package, folder)) for package in packages]
    lacking = [package for package, wheel in wheels if wheel is None]
    if lacking:
        message = "no wheel of it has a digest that the lock names; lock it again"
        raise ImageError(lock, [_problem(package, message) for package in lacking])
    return tuple(wheel for _, wheel in wheels if wheel)


def digests_of(lock: Path, cache: Path, python: str) -> dict[str, str]:
    """Return the SHA-256 of the wheel in the cache that each package of a lock was installed from, by its name."""
    folder = cache / f"cp{python.replace('.', '')}"
    return {
        package.name: digest
        for package in read_lock(lock)
        for digest in sorted(package.sha256)
        if any((folder / digest).glob("*.whl"))
    }


def _cached(package: Pinned, folder: Path) -> Path | None:
    """Return the cached wheel of a package; remove one that is no longer what its name says."""
    for digest in sorted(package.sha256):
        for wheel in sorted((folder / digest).glob("*.whl")):
            if file_sha256(wheel) == digest:
                return wheel
            wheel.unlink()
    return None


def _download(packages: Sequence[Pinned], folder: Path, python: str) -> None:
    """Download wheels beside their places, and move those with the right digests there."""
    with half_made(folder) as half:
        lock = half / "requirements.txt"
        lock.write_text("".join(f"{package}\n" for package in packages), "utf-8")
        _pip_download(lock, half, python)
        locked = {package.name: package for package in packages}
        for wheel in sorted(half.glob("*.whl")):
            digest = file_sha256(wheel)
            package = locked.get(normalised(wheel.name.partition("-")[0]))
            if package and digest in package.sha256:
                (folder / digest).mkdir(exist_ok=True)
                os.replace(wheel, folder / digest / wheel.name)


def _pip_download(lock: Path, into: Path, python: str) -> None:
    short = f"cp{python.replace('.', '')}"
    command = [sys.executable, "-m", "pip", "--no-input", "--disable-pip-version-check"]
    command += ["download", "--quiet", "--progress-bar", "off", "--no-deps", "--require-hashes"]
    command += ["--only-binary", ":all:", "--implementation", "cp", "--python-version", python]
    for abi in (short, "abi3", "none"):
        command += ["--abi", abi]
    for platform in PLATFORMS:
        command += ["--platform", platform]
    command += ["--dest", str(into), "--requirement", str(lock)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        check_space(done.stderr, into)
        said = done.stderr.strip()[-1500:] or f"ended with {done.returncode}"
        message = f"pip cannot download it; check the network and the lock. {said}"
        raise ImageError("wheels", [Problem(code=Code.DEPENDENCY_REFUSED, message=message)])


def _problem(package: Pinned, message: str) -> Problem:
    where = f"{package.name} {package.version}"
    return Problem(code=Code.DEPENDENCY_REFUSED, message=message, where=where)
