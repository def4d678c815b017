"""Locks: requirements files that name each package in one version, with the SHA-256 of its files."""

import re
from dataclasses import dataclass
from pathlib import Path

from contracts.problems import Code, Problem
from images.errors import ImageError

PINNED = re.compile(r"(?P<name>[A-Za-z0-9][\w.-]*)==(?P<version>[\w.!+-]+)")
HASH = re.compile(r"--hash=sha256:([0-9a-f]{64})")


@dataclass(frozen=True, slots=True, kw_only=True)
class Pinned:
    """One package of a lock: its name in the form that compares, its version, and the digests of its files."""

    name: str
    version: str
    sha256: frozenset[str]

    def __str__(self) -> str:
        hashes = (f"--hash=sha256:{digest}" for digest in sorted(self.sha256))
        return " ".join([f"{self.name}=={self.version}", *hashes])


def read_lock(lock: Path) -> tuple[Pinned, ...]:
    """Return the packages of a lock by name; raise ImageError that lists every line which is not pinned and hashed.

    Markers are refused: pip evaluates them for the interpreter that runs it, and not for that of the image.
    """
    text = lock.read_text("utf-8").replace("\\\n", " ")
    lines = [line.partition(" #")[0].strip() for line in text.splitlines()]
    found: dict[str, Pinned] = {}
    problems = []
    for line in filter(None, lines):
        if line.startswith("#"):
            continue
        package = _package(line)
        if package is None or package.name in found:
            wrong = "is there twice" if package else "is not NAME==VERSION --hash=sha256:DIGEST"
            problems.append(_problem(line.split(" ")[0], f"{wrong}; lock it with uv pip compile"))
        else:
            found[package.name] = package
    if not found and not problems:
        problems.append(_problem("", "names no package; lock it with uv pip compile"))
    if problems:
        raise ImageError(lock, problems)
    return tuple(found[name] for name in sorted(found))


def normalised(name: str) -> str:
    """Return the form of a name that is compared: https://packaging.python.org/specifications/name-normalization."""
    return re.sub(r"[-_.]+", "-", name).lower()


def _package(line: str) -> Pinned | None:
    head, *hashes = line.split()
    pinned = PINNED.fullmatch(head)
    digests = [HASH.fullmatch(word) for word in hashes]
    if not pinned or not digests or not all(digests):
        return None
    return Pinned(
        name=normalised(pinned["name"]),
        version=pinned["version"],
        sha256=frozenset(digest[1] for digest in digests if digest),
    )


def _problem(where: str, message: str) -> Problem:
    return Problem(code=Code.DEPENDENCY_REFUSED, message=message, where=where)
