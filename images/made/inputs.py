"""The inputs of an image in parts, each with a digest, so that what changed can be named."""

import hashlib
from collections.abc import Mapping
from pathlib import Path

from contracts.manifest import MANIFEST, file_sha256
from images.base import TABLE, read_table
from images.image import DOCKERFILE, LAYERS, Contents

# The first prefix that a staged file has names its part.
PARTS = (("routes.json", "routes and keys"), (DOCKERFILE, "Dockerfile"), *LAYERS)
WEIGHTS, WEIGHTS_PART = "model/", "weights"


def inputs_of(contents: Contents) -> dict[str, str]:
    """Return the SHA-256 of each part of the files of an image.

    Of a sealed artefact its manifest is read alone: the digest in it covers every byte, and all of them are verified
    before an image is made, and before one is deployed.
    """
    lines: dict[str, list[str]] = {}
    for path, source in sorted(contents.files.items()):
        if path.startswith(WEIGHTS) and path != f"{WEIGHTS}{MANIFEST}":
            continue
        part = next(part for prefix, part in PARTS if path.startswith(prefix))
        lines.setdefault(part, []).append(f"{path}\0{_sha256(source)}\n")
    return {part: hashlib.sha256("".join(of).encode()).hexdigest() for part, of in lines.items()}


def _sha256(source: Path | bytes) -> str:
    return hashlib.sha256(source).hexdigest() if isinstance(source, bytes) else file_sha256(source)


def base_digest(name: str, table: Path = TABLE) -> str:
    """Return what a base is now: its digest, or that of the lock it is made of and of what functions do without of it.

    It is empty where the table has neither.
    """
    row = read_table(table).get(name)
    if row is None or not row.lock:
        return row.digest if row else ""
    files = (table.parent / file for file in (row.lock, row.unused) if file)
    return f"sha256:{_sha256(b''.join(file.read_bytes() for file in files))}"


def changes(before: Mapping[str, str], now: Mapping[str, str]) -> list[str]:
    """Return the parts that differ, in the order of `PARTS`, each once."""
    parts = dict.fromkeys(part for _, part in PARTS)
    return [part for part in parts if before.get(part) != now.get(part)]
