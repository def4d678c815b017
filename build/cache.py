"""What a build has made already, so that a second one, or one that was interrupted, need not make it again."""

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

FOLDER = ".cache"


class Cache:
    """Files by the digest of what they were made from. One is there whole or not at all."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.used: set[str] = set()

    def file(self, make: Callable[[Path], object], name: str, **made_from: Any) -> Path:
        """The file that `make` writes to the path it is given, unless it is there already."""
        path = self._path(name, made_from)
        if not path.exists():
            with tempfile.TemporaryDirectory(prefix=".half-", dir=self.folder) as half:
                make(Path(half) / name)
                os.replace(Path(half) / name, path)
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
            if path.name not in self.used:
                shutil.rmtree(path) if path.is_dir() else path.unlink()

    def _path(self, name: str, made_from: dict[str, Any]) -> Path:
        self.folder.mkdir(parents=True, exist_ok=True)
        text = json.dumps(made_from, sort_keys=True, default=str)
        key = hashlib.sha256(text.encode()).hexdigest()[:24]
        self.used.add(f"{key}-{name}")
        return self.folder / f"{key}-{name}"
