"""What is to be built: a source that was found usable, whatever it was saved as."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from contracts.manifest import file_sha256
from contracts.tasks import Task

# Files that a model is made of, by the end of their names; what else lies in a folder changes nothing.
PARTS = {".json", ".safetensors", ".bin", ".txt", ".model", ".onnx", ".data", ".onnx_data", ".pt"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """A source that was found usable. `digest` covers every file a model is made of.

    `kind` says what it was saved as, `details` what the code that serves it has to know besides (see Manifest).
    """

    kind: str
    folder: Path
    task: Task
    digest: str
    weight_bytes: int
    model_type: str = ""
    heads: int = 0
    hidden: int = 0
    max_tokens: int
    labels: tuple[str, ...] = ()
    pooling: str = ""
    normalize: bool = False
    pad_token_id: int = 0
    licence: str = ""
    details: Mapping[str, Any] = field(default_factory=dict)


class Unusable(Exception):
    """One thing that makes a source unusable."""


def inspect(folder: Path, task: Task, max_tokens: int | None) -> tuple[Source | None, list[str]]:
    """The source, or every mistake that was found in it."""
    from build.huggingface import missing, read

    if not folder.is_dir():
        return None, [
            f"{folder}: not a folder; put a Hugging Face model there, or correct `source`"
        ]
    if mistakes := missing(folder):
        return None, [f"{folder}: {mistake}" for mistake in mistakes]
    try:
        return read(folder, task, max_tokens), []
    except Unusable as error:
        return None, [f"{folder}: {error}"]


def digest_of(folder: Path) -> str:
    """SHA-256 over the names and digests of the files a model is made of."""
    digest = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        if path.suffix in PARTS and path.is_file():
            digest.update(f"{path.relative_to(folder)}\0{file_sha256(path)}\n".encode())
    return digest.hexdigest()
