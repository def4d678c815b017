"""Blobs: files that are named by the SHA-256 of their bytes, as an OCI layout keeps them."""

import hashlib
import io
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from images.folders.half_made import half_path, naming


class BlobWriter:
    """A blob that is being written; its digest is known when the last byte is."""

    def __init__(self, file: io.BufferedIOBase) -> None:
        self._file, self._hash, self.size = file, hashlib.sha256(), 0

    def write(self, data: bytes) -> int:
        self._hash.update(data)
        self.size += len(data)
        return self._file.write(data)

    def flush(self) -> None:
        self._file.flush()

    @property
    def digest(self) -> str:
        return f"sha256:{self._hash.hexdigest()}"


@contextmanager
def new_blob(folder: Path) -> Iterator[BlobWriter]:
    """Yield a writer whose bytes lie in the folder under their digest when the block ends, and nowhere if it fails."""
    folder.mkdir(parents=True, exist_ok=True)
    # With `x` a link that lies there is not followed.
    unfinished = half_path(folder)
    try:
        with naming(folder):
            with unfinished.open("xb") as file:
                writer = BlobWriter(file)
                yield writer
            # On some file systems a full disk is reported when a file is closed, so it is renamed after that.
            os.replace(unfinished, blob_path(folder, writer.digest))
    finally:
        unfinished.unlink(missing_ok=True)


def write_atomically(path: Path, text: str) -> None:
    """Write a file by a rename, so that no reader sees half of it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    half = half_path(path.parent)
    try:
        with naming(path):
            half.write_text(text, "utf-8")
            os.replace(half, path)
    finally:
        half.unlink(missing_ok=True)


def link_or_copy(source: Path, target: Path) -> None:
    """Link a file to a place where nothing is if the file system can, else copy it."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)


def blob_path(folder: Path, digest: str) -> Path:
    """Return the place of a blob in a folder of blobs."""
    return folder / digest.removeprefix("sha256:")
