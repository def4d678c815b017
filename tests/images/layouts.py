"""Layouts of small images, as this project writes them and changed as other tools write theirs."""

import gzip
import hashlib
import io
import json
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from images.blob import new_blob
from images.layer import Entry, Layer, write_layer
from images.oci.layout import Settings, write_layout

BASE = (
    Entry(path="usr/bin/python3.11", source=b"\x7fELF", executable=True),
    Entry(path="usr/bin/python3", link="python3.11"),
    Entry(path="bin", link="usr/bin"),
)
CODE = (Entry(path="var/task/handler.py", source=b"def handler(): ..."),)
SETTINGS = Settings(
    environment={"LANG": "C.UTF-8", "TZ": ":UTC"},
    working_dir="/var/task",
    entrypoint=("/bin/python3", "-m", "awslambdaric"),
    command=("handler.handler",),
)

Document = dict[str, Any]
Change = Callable[[Document], object]


def small(folder: Path, settings: Settings = SETTINGS, *more: Layer) -> Path:
    """Write an image of two layers, and of more on top of them."""
    base, code = (write_layer(entries, folder / "work") for entries in (BASE, CODE))
    layers = [("base", base), ("code", code), *(("more", layer) for layer in more)]
    write_layout(folder / "image", "small", layers, settings)
    return folder / "image"


def nothing(_: Document) -> None:
    """Change nothing."""


def changed(
    image: Path, index: Change = nothing, manifest: Change = nothing, config: Change = nothing
) -> Path:
    """Change an image's documents, each named again by its own digest, as a tool would have written them."""
    of_index = json.loads((image / "index.json").read_text("utf-8"))
    of_manifest = _blob(image, of_index["manifests"][0])
    of_config = _blob(image, of_manifest["config"])
    config(of_config)
    of_manifest["config"] |= described(image, of_config)
    manifest(of_manifest)
    of_index["manifests"][0] |= described(image, of_manifest)
    index(of_index)
    (image / "index.json").write_text(json.dumps(of_index), "utf-8")
    return image


def _blob(image: Path, descriptor: Document) -> Document:
    path = image / "blobs" / descriptor["digest"].replace(":", "/")
    document: Document = json.loads(path.read_text("utf-8"))
    return document


def described(image: Path, document: Document) -> Document:
    """Write a document as a blob; return its digest and size."""
    with new_blob(image / "blobs/sha256") as blob:
        blob.write(json.dumps(document).encode())
    return {"digest": blob.digest, "size": blob.size}


def archive(folder: Path, *members: tarfile.TarInfo) -> Layer:
    """Write a layer by tarfile alone, with whatever entries; files are of zeros."""
    plain = io.BytesIO()
    with tarfile.open(fileobj=plain, mode="w") as tar:
        for member in members:
            tar.addfile(member, io.BytesIO(bytes(member.size)))
    data = plain.getvalue()
    with new_blob(folder) as blob:
        blob.write(gzip.compress(data, mtime=0))
    return Layer(
        blob=folder / blob.digest.removeprefix("sha256:"),
        digest=blob.digest,
        diff_id=f"sha256:{hashlib.sha256(data).hexdigest()}",
        size=blob.size,
    )


def entry(name: str, kind: bytes = tarfile.REGTYPE, mode: int = 0o644) -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.type, member.mode = kind, mode
    return member
