"""The cache of a build, by which a second or an interrupted one continues where the last one was.

An entry is named by the digest of what it is made from; what that is for graphs is in `build/step.py`.
"""

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from contracts.manifest import file_sha256

FOLDER, DIGEST_SUFFIX = ".cache", ".sha256"


class Cache:
    """Files and folders by the digest of their inputs; a damaged one is made again.

    The digest of each entry itself lies beside it, since a machine that loses power may leave a file without its
    contents.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.used: set[str] = set()

    def file(self, make: Callable[[Path], object], name: str, **made_from: Any) -> Path:
        """Return the path of an entry, having called `make` to write it to a given path unless it is there already."""
        path = self._path(name, made_from)
        digest_file = path.with_name(path.name + DIGEST_SUFFIX)
        if not _is_whole(path, digest_file):
            _remove(path)
            with tempfile.TemporaryDirectory(prefix=_half_prefix(), dir=self.folder) as half:
                made = Path(half) / name
                make(made)
                digest = _digest(made)
                try:
                    os.replace(made, path)
                except OSError:
                    # A folder there is whole: another build of the same was first.
                    if not path.is_dir():
                        raise
            # Written last: an interrupt before it leaves an entry that counts as damaged.
            digest_file.write_text(digest, "utf-8")
        return path

    def value(self, make: Callable[[], Any], name: str, **made_from: Any) -> Any:
        """Return a value that JSON can hold, having called `make` for it unless it is cached."""

        def write(path: Path) -> None:
            path.write_text(json.dumps(make(), ensure_ascii=False), "utf-8")

        return json.loads(self.file(write, f"{name}.json", **made_from).read_text("utf-8"))

    def sweep(self) -> None:
        """Remove the entries that this process began and did not finish: an interrupt can end their removal too."""
        for path in self.folder.glob(f"{_half_prefix()}*"):
            _remove(path)

    def prune(self) -> None:
        """Remove the entries that this build did not use: older sources and settings left them."""
        for path in self.folder.iterdir():
            if path.name.removesuffix(DIGEST_SUFFIX) not in self.used:
                _remove(path)

    def _path(self, name: str, made_from: dict[str, Any]) -> Path:
        self.folder.mkdir(parents=True, exist_ok=True)
        # 96 bits are enough for the few entries of a model, and keep names short.
        text = json.dumps(made_from, sort_keys=True, default=str)
        key = hashlib.sha256(text.encode()).hexdigest()[:24]
        self.used.add(f"{key}-{name}")
        return self.folder / f"{key}-{name}"


def _half_prefix() -> str:
    return f".half-{os.getpid()}-"


def _is_whole(path: Path, digest_file: Path) -> bool:
    return (
        path.exists() and digest_file.is_file() and digest_file.read_text("utf-8") == _digest(path)
    )


def _digest(path: Path) -> str:
    """Return the digest of a file, or of all files of a folder and their paths."""
    files = sorted(path.rglob("*")) if path.is_dir() else [path]
    lines = [f"{file.relative_to(path)} {file_sha256(file)}" for file in files if file.is_file()]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
