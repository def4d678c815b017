"""OCI image layouts: a folder of one image, its blobs named by their digests, as registries and engines read it.

https://github.com/opencontainers/image-spec/blob/v1.1.0/image-layout.md
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from images.blob import blob_path, link_or_copy, new_blob
from images.folders.half_made import half_made, naming
from images.layer import Layer

Json = Mapping[str, Any]

INDEX, MARKER, BLOBS = "index.json", "oci-layout", "blobs/sha256"
INDEX_TYPE = "application/vnd.oci.image.index.v1+json"
MANIFEST_TYPE = "application/vnd.oci.image.manifest.v1+json"
CONFIG_TYPE = "application/vnd.oci.image.config.v1+json"
LAYER_TYPE = "application/vnd.oci.image.layer.v1.tar+gzip"
ARCHITECTURE, SYSTEM = "amd64", "linux"
# The time at which an image was made would be another one each time.
CREATED = "1970-01-01T00:00:00Z"


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The start of an image's container."""

    environment: Mapping[str, str] = field(default_factory=dict)
    working_dir: str = "/"
    entrypoint: tuple[str, ...] = ()
    command: tuple[str, ...] = ()
    user: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)

    def to_json(self) -> Json:
        document: dict[str, Any] = {
            "Env": [f"{name}={value}" for name, value in self.environment.items()],
            "WorkingDir": self.working_dir,
            "Entrypoint": list(self.entrypoint),
            "Cmd": list(self.command),
            "User": self.user,
            "Labels": dict(self.labels),
        }
        return {key: value for key, value in document.items() if value}

    @classmethod
    def read(cls, document: Json) -> Self:
        """Return the settings of an image's config, which may be another tool's and lack any of them."""
        pairs = (str(one).partition("=") for one in document.get("Env") or ())
        return cls(
            environment={name: value for name, _, value in pairs},
            working_dir=document.get("WorkingDir") or "/",
            entrypoint=tuple(document.get("Entrypoint") or ()),
            command=tuple(document.get("Cmd") or ()),
            user=document.get("User") or "",
            labels=document.get("Labels") or {},
        )


def _unchecked(_: Path) -> None:
    """Accept every layout."""


def write_layout(
    folder: Path,
    name: str,
    layers: Sequence[tuple[str, Layer]],
    settings: Settings,
    check: Callable[[Path], None] = _unchecked,
) -> str:
    """Write an image as a layout in place of the folder, and return the digest of its manifest.

    The layers come lowest first, each with the comment that the image's history has of it. The folder is there whole,
    as it was before, or not at all: `check` is called with the whole layout before it takes its place, and what it
    raises keeps it from there. Raise OSError where a blob is gone or the disk is full.
    """
    with half_made(folder.parent) as half:
        unfinished = half / folder.name
        with naming(folder):
            digest = _write(unfinished, name, layers, settings)
        check(unfinished)
        _replace(folder, unfinished, half / "old")
    return digest


def _write(folder: Path, name: str, layers: Sequence[tuple[str, Layer]], settings: Settings) -> str:
    blobs = folder / BLOBS
    blobs.mkdir(parents=True)
    for _, layer in layers:
        target = blob_path(blobs, layer.digest)
        # Two layers may be equal. Images share layers that are large.
        if not target.exists():
            link_or_copy(layer.blob, target)
    config = {
        "created": CREATED,
        "architecture": ARCHITECTURE,
        "os": SYSTEM,
        "config": settings.to_json(),
        "rootfs": {"type": "layers", "diff_ids": [layer.diff_id for _, layer in layers]},
        "history": [{"created": CREATED, "created_by": comment} for comment, _ in layers],
    }
    manifest = {
        "schemaVersion": 2,
        "mediaType": MANIFEST_TYPE,
        "config": _document(blobs, CONFIG_TYPE, config),
        "layers": [_descriptor(LAYER_TYPE, layer.digest, layer.size) for _, layer in layers],
    }
    image = {
        **_document(blobs, MANIFEST_TYPE, manifest),
        "platform": {"architecture": ARCHITECTURE, "os": SYSTEM},
        "annotations": {"org.opencontainers.image.ref.name": name},
    }
    index = {"schemaVersion": 2, "mediaType": INDEX_TYPE, "manifests": [image]}
    (folder / INDEX).write_bytes(_canonical(index))
    (folder / MARKER).write_bytes(_canonical({"imageLayoutVersion": "1.0.0"}))
    return str(image["digest"])


def _document(blobs: Path, media_type: str, document: Json) -> Json:
    """Write a document as a blob, and return its descriptor."""
    with new_blob(blobs) as blob:
        blob.write(_canonical(document))
    return _descriptor(media_type, blob.digest, blob.size)


def _descriptor(media_type: str, digest: str, size: int) -> Json:
    return {"mediaType": media_type, "digest": digest, "size": size}


def _canonical(document: Json) -> bytes:
    return json.dumps(document, sort_keys=True, separators=(",", ":")).encode()


def _replace(folder: Path, by: Path, old: Path) -> None:
    """Put a folder in another one's place, which is put back if that fails.

    A folder that is not empty cannot be renamed over.
    """
    if folder.exists():
        folder.rename(old)
    try:
        by.rename(folder)
    except OSError:
        if old.exists() and not folder.exists():
            old.rename(folder)
        raise
