"""The files that tell a model's size: config.json, and the index or the header of its weights."""

import json
import os
import struct
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from build.sources import remote
from contracts.problems import Code, Problem
from stacks.fit.config import FILE, Unsized

WEIGHTS, INDEX = "model.safetensors", "model.safetensors.index.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Described:
    """A config.json with its place; `stored` are the bytes of the model's tensors, None where only it is there."""

    config: Mapping[str, Any]
    where: str
    stored: int | None


def describe(source: str, environment: Mapping[str, str] = os.environ) -> Described:
    """Read a config.json, a folder, or the settings of hf://org/name@revision; raise Unsized, SourceError.

    No weights are downloaded, and of those in a folder only the headers are read.
    """
    if not source.startswith(("hf://", "s3://")):
        return _local(Path(source), source)
    with tempfile.TemporaryDirectory() as folder:
        found = remote.describe(source, Path(folder), environment)
        if found.file:
            raise _wrong(
                source, Code.FORMAT_UNKNOWN, f"names one file; name the folder that has {FILE}"
            )
        return _local(Path(folder), found.pinned)


def _local(path: Path, where: str) -> Described:
    if path.is_dir():
        return Described(config=_object(path / FILE, where), where=where, stored=_stored(path))
    return Described(config=_object(path, where), where=where, stored=None)


def _object(path: Path, where: str) -> dict[str, Any]:
    if not path.is_file():
        raise _wrong(
            where,
            Code.FILE_MISSING,
            f"no {path.name}; give a {FILE}, the folder that has it, or hf://org/name",
        )
    try:
        document = json.loads(path.read_text("utf-8"))
    except (ValueError, RecursionError) as error:
        raise _wrong(
            where, Code.FILE_DAMAGED, f"{path.name} is no JSON ({error}); copy it again"
        ) from error
    if not isinstance(document, dict):
        raise _wrong(where, Code.FILE_DAMAGED, f"{path.name} is not a JSON object; copy it again")
    return document


def _stored(folder: Path) -> int | None:
    """Return the bytes of a folder's tensors, None where neither an index nor weights are there."""
    if (folder / INDEX).is_file():
        metadata = _object(folder / INDEX, str(folder)).get("metadata")
        total = metadata.get("total_size") if isinstance(metadata, dict) else None
        if isinstance(total, bool) or not isinstance(total, int | float) or total <= 0:
            raise _wrong(
                folder,
                Code.FILE_DAMAGED,
                f"{INDEX} has no `total_size` in its `metadata`; copy it again, or give {FILE} alone",
            )
        return int(total)
    return _tensor_bytes(folder / WEIGHTS) if (folder / WEIGHTS).is_file() else None


def _tensor_bytes(path: Path) -> int:
    """Return the bytes of a safetensors file behind its header, whose length its first 8 bytes are."""
    size = path.stat().st_size
    with path.open("rb") as file:
        head = file.read(8)
    length = struct.unpack("<Q", head)[0] if len(head) == 8 else size
    if length + 8 > size:
        raise _wrong(path, Code.FILE_DAMAGED, "is cut short; copy it again")
    return size - 8 - int(length)


def _wrong(where: object, code: Code, message: str) -> Unsized:
    return Unsized(where, [Problem(code=code, message=message)])
