"""Reading of OCI image layouts, of any tool's making: every document, blob and archive checked against its digest."""

import gzip
import hashlib
import io
import json
import re
import tarfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from contracts.manifest import file_sha256
from contracts.problems import Code, Problem
from images.blob import blob_path
from images.errors import ImageError
from images.layer import CHUNK
from images.oci.layout import BLOBS, INDEX, LAYER_TYPE, MARKER, Json

GZIP = (LAYER_TYPE, "application/vnd.docker.image.rootfs.diff.tar.gzip")
PLAIN = ("application/vnd.oci.image.layer.v1.tar", "application/vnd.docker.image.rootfs.diff.tar")
Keep = Callable[[str], bool]
DIGEST = re.compile(r"sha256:[0-9a-f]{64}")


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerContents:
    """The archive of one layer: its entries in order, and its bytes when unpacked.

    An archive that cannot be unpacked here, such as one compressed by zstd, has no entries. `kept` are the bytes of the
    files that were asked for.
    """

    media_type: str
    members: tuple[tarfile.TarInfo, ...] = ()
    size: int = 0
    kept: Mapping[tarfile.TarInfo, bytes] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """A layout that was read: its index, all that this names, and the first image among that."""

    folder: Path
    index: Json
    descriptors: tuple[Json, ...]
    manifest: Json
    config: Json
    layers: tuple[LayerContents, ...]


class _Damaged(Exception):
    """Things in a layout that are not as they have to be; each message ends with the next step."""


def nothing(path: str) -> bool:
    """Return False for every path."""
    return False


def read_layout(folder: Path, keep: Keep = nothing) -> Layout:
    """Return what a layout holds after checking every digest in it; raise ImageError if one does not hold.

    Files of the paths that `keep` is true for are kept in memory, as each archive is read once.
    """
    try:
        return _read(folder, keep)
    except _Damaged as error:
        problems = [Problem(code=Code.IMAGE_DAMAGED, message=message) for message in error.args]
        raise ImageError(folder, problems) from error


def is_attestation(descriptor: Json) -> bool:
    """Return True for a manifest that is about an image and none itself, as BuildKit marks it.

    https://docs.docker.com/build/metadata/attestations/attestation-storage/
    """
    annotations = descriptor.get("annotations")
    return isinstance(annotations, dict) and "vnd.docker.reference.type" in annotations


def _read(folder: Path, keep: Keep) -> Layout:
    marker = _json(_bytes(folder / MARKER), MARKER)
    if marker.get("imageLayoutVersion") != "1.0.0":
        raise _Damaged(f"its {MARKER} does not name version 1.0.0; build the image again")
    index = _json(_bytes(folder / INDEX), INDEX)
    descriptors = tuple(_named(folder, index))
    manifest = next(
        (
            document
            for descriptor in descriptors
            if not is_attestation(descriptor)
            and (document := _blob_json(folder, descriptor)).get("layers")
        ),
        None,
    )
    if manifest is None:
        raise _Damaged("its index names no image with layers; build the image again")
    config, layers = _descriptor(manifest.get("config")), _descriptors(manifest, "layers")
    _check_blobs(folder, (config, *layers))
    settings = _blob_json(folder, config)
    return Layout(
        folder=folder,
        index=index,
        descriptors=descriptors,
        manifest=manifest,
        config=settings,
        layers=tuple(_contents(folder, layers, settings, keep)),
    )


def _named(folder: Path, index: Json) -> Iterator[Json]:
    """Yield the descriptors that an index names, and those of the indices among them."""
    descriptors = _descriptors(index, "manifests")
    _check_blobs(folder, descriptors)
    for descriptor in descriptors:
        yield descriptor
        if "manifests" in (document := _blob_json(folder, descriptor)):
            yield from _named(folder, document)


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        message = f"{path.name} cannot be read ({error.strerror}); build the image again"
        raise _Damaged(message) from error


def _json(data: bytes, name: str) -> dict[str, Any]:
    try:
        document = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise _Damaged(f"{name} is no JSON or is cut short; build the image again") from error
    if not isinstance(document, dict):
        raise _Damaged(f"{name} is JSON, but no object; build the image again")
    return document


def _descriptors(document: Json, key: str) -> tuple[Json, ...]:
    found = document.get(key)
    if not isinstance(found, list):
        raise _Damaged(f"a document in it has no list of {key}; build the image again")
    return tuple(_descriptor(one) for one in found)


def _descriptor(found: object) -> Json:
    """Return a descriptor whose digest can be no other place than one among the blobs."""
    if not isinstance(found, dict) or not DIGEST.fullmatch(str(found.get("digest"))):
        raise _Damaged(f"{found!r:.200} names nothing by its SHA-256; build the image again")
    return found


def _check_blobs(folder: Path, descriptors: tuple[Json, ...]) -> None:
    if found := [problem for one in descriptors if (problem := _blob_problem(folder, one))]:
        raise _Damaged(*found)


def _blob_problem(folder: Path, descriptor: Json) -> str:
    digest = str(descriptor["digest"])
    path = blob_path(folder / BLOBS, digest)
    # A link could lead to a file of this machine, which would then be pushed.
    if path.is_symlink() or not path.is_file():
        return f"the blob {digest} is missing; build the image again"
    # The size is compared first, because hashing a large file takes seconds.
    if path.stat().st_size != descriptor.get("size") or f"sha256:{file_sha256(path)}" != digest:
        return f"the blob {digest} does not have the bytes of its name; build the image again"
    return ""


def _blob_json(folder: Path, descriptor: Json) -> dict[str, Any]:
    digest = str(descriptor["digest"])
    return _json(_bytes(blob_path(folder / BLOBS, digest)), f"the blob {digest}")


def _contents(
    folder: Path, layers: tuple[Json, ...], config: Json, keep: Keep
) -> Iterator[LayerContents]:
    """Yield the entries of each layer, after comparing its archive with the digest in the image's config."""
    rootfs = config.get("rootfs")
    diff_ids = rootfs.get("diff_ids") if isinstance(rootfs, dict) else None
    if not isinstance(diff_ids, list) or len(diff_ids) != len(layers):
        raise _Damaged(
            "its config names another number of layers than its manifest; build the image again"
        )
    for descriptor, diff_id in zip(layers, diff_ids, strict=True):
        media_type = str(descriptor.get("mediaType"))
        contents = LayerContents(media_type=media_type)
        if media_type in (*GZIP, *PLAIN):
            path = blob_path(folder / BLOBS, str(descriptor["digest"]))
            try:
                contents, digest = _unpack(path, media_type, keep)
            # BadGzipFile is an OSError; tarfile raises ValueError for some headers.
            except (tarfile.TarError, EOFError, OSError, ValueError, zlib.error) as error:
                message = f"the layer {descriptor['digest']} is no archive ({error}); build the image again"
                raise _Damaged(message) from error
            if digest != diff_id:
                message = (
                    f"the layer {descriptor['digest']} is not the archive {diff_id} of its config"
                )
                raise _Damaged(f"{message}; build the image again")
        yield contents


class _Hashed(io.RawIOBase):
    """A stream that counts and hashes what is read of it."""

    def __init__(self, stream: io.BufferedIOBase | gzip.GzipFile) -> None:
        self._stream, self.hash, self.size = stream, hashlib.sha256(), 0

    def read(self, size: int = -1, /) -> bytes:
        data = self._stream.read(size)
        self.hash.update(data)
        self.size += len(data)
        return data


def _unpack(path: Path, media_type: str, keep: Keep) -> tuple[LayerContents, str]:
    """Return the entries of an archive and its digest, reading it once."""
    members: list[tarfile.TarInfo] = []
    kept: dict[tarfile.TarInfo, bytes] = {}
    with path.open("rb") as file, gzip.GzipFile(fileobj=file) as unzipped:
        stream = _Hashed(unzipped if media_type in GZIP else file)
        with tarfile.open(fileobj=stream, mode="r|", bufsize=CHUNK) as archive:
            for member in archive:
                members.append(member)
                if member.isfile() and keep(member.name.removeprefix("./")):
                    data = archive.extractfile(member)
                    kept[member] = data.read() if data else b""
        # What follows the end of the archive is a part of its digest as well.
        while stream.read(CHUNK):
            pass
    size, digest = stream.size, f"sha256:{stream.hash.hexdigest()}"
    contents = LayerContents(media_type=media_type, members=tuple(members), size=size, kept=kept)
    return contents, digest
