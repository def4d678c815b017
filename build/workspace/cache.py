"""What a build has made already, so that a second one, or one that was interrupted, need not make it again."""

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from contracts.manifest import file_sha256

FOLDER, NOTE = ".cache", ".sha256"


class Cache:
    """Files and folders by the digest of what they were made from. What is not as it was made is made again.

    Beside each lies a note of its own digest: a machine that loses its power may leave a file without what was in it.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.used: set[str] = set()

    def file(self, make: Callable[[Path], object], name: str, **made_from: Any) -> Path:
        """The file that `make` writes to the path it is given, unless it is there already."""
        path = self._path(name, made_from)
        note = path.with_name(path.name + NOTE)
        if not _as_noted(path, note):
            _remove(path)
            with tempfile.TemporaryDirectory(prefix=".half-", dir=self.folder) as half:
                made = Path(half) / name
                make(made)
                digest = _digest(made)
                try:
                    os.replace(made, path)
                except OSError:
                    if not path.is_dir():  # otherwise another build that makes the same was first
                        raise
            note.write_text(digest, "utf-8")
        return path

    def value(self, make: Callable[[], Any], name: str, **made_from: Any) -> Any:
        """The same for a value that JSON can hold."""

        def write(path: Path) -> None:
            path.write_text(json.dumps(make(), ensure_ascii=False), "utf-8")

        return json.loads(self.file(write, f"{name}.json", **made_from).read_text("utf-8"))

    def has(self, name: str, **made_from: Any) -> bool:
        return self._path(name, made_from).exists()

    def prune(self) -> None:
        """Remove what this build did not use, which is what older sources and settings left."""
        for path in self.folder.iterdir():
            if path.name.removesuffix(NOTE) not in self.used:
                _remove(path)

    def _path(self, name: str, made_from: dict[str, Any]) -> Path:
        self.folder.mkdir(parents=True, exist_ok=True)
        text = json.dumps(made_from, sort_keys=True, default=str)
        key = hashlib.sha256(text.encode()).hexdigest()[:24]
        self.used.add(f"{key}-{name}")
        return self.folder / f"{key}-{name}"


def _as_noted(path: Path, note: Path) -> bool:
    return path.exists() and note.is_file() and note.read_text("utf-8") == _digest(path)


def _digest(path: Path) -> str:
    """Of a file, or of all files of a folder with their places."""
    files = sorted(path.rglob("*")) if path.is_dir() else [path]
    seen = [f"{file.relative_to(path)} {file_sha256(file)}" for file in files if file.is_file()]
    return hashlib.sha256("\n".join(seen).encode()).hexdigest()


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
