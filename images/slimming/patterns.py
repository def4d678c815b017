"""Patterns of paths in the form of a shell, as `rm -rf` takes them."""

from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase
from pathlib import PurePosixPath


def matches(path: str, patterns: Iterable[str]) -> bool:
    """Return true if a pattern matches the path or a folder that it lies in; a star does not reach over a slash."""
    parts = PurePosixPath(path).parts
    return any(_matches(parts, PurePosixPath(pattern).parts) for pattern in patterns)


def _matches(parts: Sequence[str], pattern: Sequence[str]) -> bool:
    pairs = zip(parts, pattern, strict=False)
    return len(parts) >= len(pattern) and all(fnmatchcase(part, wanted) for part, wanted in pairs)
