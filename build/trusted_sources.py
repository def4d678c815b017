"""Trusted sources: the files that a signature has to cover, and its check before anything reads the source."""

from collections.abc import Callable
from fnmatch import fnmatch
from pathlib import Path, PurePath

from build.sources.formats import ARPA, GGUF, SUFFIXES
from build.sources.remote import PICKLES, WANTED
from build.sources.source import PARTS
from contracts.problems import Code, Problem
from contracts.specs import ModelSpec
from signatures.check import find_signature
from signatures.keys import trusted_keys
from signatures.places import source_signatures

# Formats of one file that nothing beside it is read with.
WHOLE_FILES = (ARPA, GGUF)


def signed_root(source: Path) -> Path:
    """Return what has to be signed of a source: its folder, or the file itself where nothing beside it is read.

    A graph's tokenizer and the data of its weights lie beside it.
    """
    if source.is_dir():
        return source
    named = next((kind for end, kind in SUFFIXES.items() if source.name.endswith(end)), None)
    return source.parent if named and named not in WHOLE_FILES else source


def source_problems(spec: ModelSpec, source: Path, remote: bool) -> list[Problem]:
    """Return the problems of a source whose model names keys that are trusted; none where it names no key."""
    if not spec.trusted_keys or not source.exists():
        return []
    root = signed_root(source)
    outside = [
        Problem(
            code=Code.SIGNATURE_MISSING,
            where=str(path),
            message=f"is read besides {root} and lies outside of it, so no signature covers it; copy it there",
        )
        for path in [spec.source_options.tokenizer]
        if path and not path.resolve().is_relative_to(root.resolve())
    ]
    keys, problems = trusted_keys(spec.trusted_keys)
    if not problems:
        _, problems = find_signature(
            root,
            source_signatures(root),
            keys,
            f"turnout sign {spec.name} --source --key KEY",
            needed=_needed(source) if remote else lambda name: True,
            read=_read,
        )
    return [*problems, *outside]


def _needed(source: Path) -> Callable[[str], bool]:
    """Return what has to be there of all that a publisher has signed: a download leaves out what no build reads."""
    return (lambda name: False) if source.is_file() else _downloaded


def _downloaded(name: str) -> bool:
    return any(fnmatch(PurePath(name).name, pattern) for pattern in WANTED)


def _read(name: str) -> bool:
    """Return True for the name of a file that a reader may read."""
    path = PurePath(name)
    pickled = any(fnmatch(path.name, pattern) for pattern in PICKLES)
    return path.suffix in PARTS or pickled or _downloaded(name)
