"""Pieces: what an image does without, each the files of one pattern in a table.

A table, `unused.txt`, is made by `python -m scripts.find_unused`. It has a pattern a line and nothing else, since a
Dockerfile's shell removes what it names as well.
"""

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from images.layer import Entry
from images.slimming.patterns import matches

Pieces = Mapping[str, tuple[Entry, ...]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Split:
    """The entries that stay, and the pieces that go, by their names."""

    kept: tuple[Entry, ...]
    pieces: Pieces = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Slimming:
    """The pieces that go: all of the tables but those that are restored by their names, or none of a whole image."""

    restored: Collection[str] = ()
    whole: bool = False

    def chosen(self, patterns: Iterable[str], folder: str = "") -> tuple[str, ...]:
        """Return the names of the pieces that go, which are their patterns in the image's root."""
        if self.whole:
            return ()
        names = (f"{folder}/{pattern}".lstrip("/") for pattern in patterns)
        return tuple(name for name in names if name not in self.restored)


def read_patterns(table: Path) -> tuple[str, ...]:
    """Return the patterns of a table, none if there is no such file."""
    return tuple(table.read_text("utf-8").split()) if table.is_file() else ()


def split(entries: Iterable[Entry], patterns: Sequence[str]) -> Split:
    """Return entries in pieces by the first pattern that names each, or its source if it is bytecode."""
    kept: list[Entry] = []
    pieces: dict[str, list[Entry]] = {}
    # Few patterns begin as a path does: matching each with each would take 18 s for an image.
    beginnings = [(re.split(r"[*?[]", pattern, maxsplit=1)[0], pattern) for pattern in patterns]
    for entry in entries:
        names = {entry.path, source_of(entry.path)}
        found = (
            pattern
            for beginning, pattern in beginnings
            if any(name.startswith(beginning) and matches(name, (pattern,)) for name in names)
        )
        first = next(found, None)
        (kept if first is None else pieces.setdefault(first, [])).append(entry)
    return Split(
        kept=tuple(kept),
        pieces={name: tuple(pieces[name]) for name in patterns if name in pieces},
    )


def source_of(path: str) -> str:
    """Return the path of the source of a file of bytecode (PEP 3147), and that of another file itself."""
    file = PurePosixPath(path)
    if file.suffix != ".pyc" or file.parent.name != "__pycache__":
        return path
    return str(file.parent.with_name(f"{file.name.partition('.')[0]}.py"))
