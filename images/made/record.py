"""The record beside a deployment's images: what each was made of, and where it was pushed.

The file is enough to deploy pushed images from another machine, on which none of them has been made.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Self

from contracts.problems import Code, Problem
from images.blob import write_atomically
from images.errors import ImageError
from images.folders.held import held
from images.image import Built

FILE = "images.json"
# A median of so many starts is one that a busy moment does not change.
STARTS_KEPT = 7


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerSize:
    """One layer: the part of an image that it is, and its bytes compressed and unpacked."""

    layer: str
    size: int
    unpacked: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """An image: its digest, its base, the digests of its inputs by part, and its layers, lowest first.

    `base_digest` is empty where it was not known. `reference` is the image's place in a registry, by its digest; empty
    until it is pushed.
    """

    digest: str
    base: str
    base_digest: str
    inputs: Mapping[str, str]
    layers: tuple[LayerSize, ...]
    reference: str = ""

    @property
    def size(self) -> int:
        """Return the compressed bytes of all layers."""
        return sum(layer.size for layer in self.layers)

    @property
    def unpacked(self) -> int:
        """Return the bytes of all layers unpacked."""
        return sum(layer.unpacked for layer in self.layers)

    @classmethod
    def from_json(cls, document: dict[str, Any]) -> Self:
        layers = tuple(LayerSize(**layer) for layer in document["layers"])
        return cls(**{**document, "inputs": dict(document["inputs"]), "layers": layers})


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """One measured start of an image, by its digest: the milliseconds of INIT, with that memory and the CPU it has."""

    digest: str
    memory_mb: int
    ms: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ImagesRecord:
    """The images by the names of their stacks, as they were last made, and as they were last pushed.

    `starts` are measured ones, the latest last.
    """

    made: Mapping[str, Made] = field(default_factory=dict)
    pushed: Mapping[str, Made] = field(default_factory=dict)
    starts: tuple[Start, ...] = ()


def row_of(built: Built, inputs: Mapping[str, str], base: str, digest: str) -> Made:
    """Return the row of an image that was built."""
    layers = tuple(
        LayerSize(layer=name, size=layer.size, unpacked=unpacked)
        for (name, layer), unpacked in zip(built.layers, built.unpacked, strict=True)
    )
    return Made(digest=built.digest, base=base, base_digest=digest, inputs=inputs, layers=layers)


def read_record(folder: Path) -> ImagesRecord:
    """Return the record in a folder of images, empty where there is none; raise ImageError for one that is damaged."""
    path = folder / FILE
    try:
        document = json.loads(path.read_text("utf-8"))
        return ImagesRecord(
            made=_rows(document["made"]),
            pushed=_rows(document["pushed"]),
            starts=tuple(Start(**start) for start in document["starts"]),
        )
    except FileNotFoundError:
        return ImagesRecord()
    except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
        message = f"cannot be read ({type(error).__name__}: {error}); remove it, and make the images again"
        problem = Problem(code=Code.FILE_DAMAGED, where=str(path), message=message)
        raise ImageError("the record of images", [problem]) from error


def _rows(document: dict[str, Any]) -> dict[str, Made]:
    return {name: Made.from_json(row) for name, row in document.items()}


def record_made(folder: Path, name: str, row: Made) -> None:
    """Record an image that was made."""
    with held(folder):
        record = read_record(folder)
        _write(folder, replace(record, made={**record.made, name: row}))


def record_pushed(folder: Path, references: Mapping[str, str]) -> None:
    """Record the references of images that were pushed as they were last made."""
    with held(folder):
        record = read_record(folder)
        rows = {
            name: replace(record.made[name], reference=reference)
            for name, reference in references.items()
        }
        _write(folder, replace(record, pushed={**record.pushed, **rows}))


def record_start(folder: Path, start: Start) -> None:
    """Record a measured start, as evidence for `turnout plan`; the last ones of each image and memory are kept."""
    with held(folder):
        record = read_record(folder)
        alike = [one for one in record.starts if _of(one) == _of(start)]
        forgotten = alike[: max(0, len(alike) + 1 - STARTS_KEPT)]
        kept = tuple(one for one in record.starts if one not in forgotten)
        _write(folder, replace(record, starts=(*kept, start)))


def _of(start: Start) -> tuple[str, int]:
    return start.digest, start.memory_mb


def _write(folder: Path, record: ImagesRecord) -> None:
    document = json.dumps(asdict(record), indent=2, sort_keys=True)
    write_atomically(folder / FILE, f"{document}\n")
