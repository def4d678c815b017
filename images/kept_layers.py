"""Layers that are kept: one is made again only when what it is made of, or the code that makes it, has changed."""

import hashlib
import json
from collections.abc import Callable
from functools import cache
from pathlib import Path

from contracts.manifest import file_sha256
from images.blob import blob_path, write_atomically
from images.layer import Layer

CODE = Path(__file__).resolve().parent


def kept_layer(sources: bytes, notes: Path, blobs: Path, make: Callable[[], Layer]) -> Layer:
    """Return the layer that was made of the sources, or make and keep it.

    `make` writes its blob into the folder of blobs, and a note of it is kept. One that is gone or was changed is made
    again.
    """
    key = hashlib.sha256(_code() + sources).hexdigest()
    note = notes / f"{key}.json"
    layer = _noted(note, blobs)
    if layer is None:
        layer = make()
        noted = {"digest": layer.digest, "diff_id": layer.diff_id, "size": layer.size}
        write_atomically(note, json.dumps(noted))
    return layer


@cache
def _code() -> bytes:
    """Return a digest of this package's code."""
    files = sorted(CODE.rglob("*.py"))
    texts = [(file.relative_to(CODE).as_posix().encode(), file.read_bytes()) for file in files]
    return hashlib.sha256(b"\0".join(part for text in texts for part in text)).digest()


def _noted(note: Path, blobs: Path) -> Layer | None:
    try:
        noted = json.loads(note.read_text("utf-8"))
        blob = blob_path(blobs, noted["digest"])
        if f"sha256:{file_sha256(blob)}" != noted["digest"]:
            return None
        return Layer(blob=blob, **noted)
    except (OSError, ValueError, KeyError, TypeError):
        # A note that is cut short is no reason to fail: the layer is made again.
        return None
