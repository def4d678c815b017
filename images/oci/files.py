"""The bytes of files in an image, as a container sees them."""

import hashlib
import tarfile
from collections.abc import Iterator, Mapping
from tarfile import TarInfo
from typing import IO

from images.blob import blob_path
from images.layer import CHUNK
from images.oci.filesystem import merged
from images.oci.layout import BLOBS
from images.oci.reading import Layout


def opened(layout: Layout, members: Mapping[str, TarInfo]) -> Iterator[tuple[str, IO[bytes]]]:
    """Yield the name of each file among entries of an image, and its bytes until the next; links are left out.

    The entries are those of the layout's own layers, each of which is read at most once.
    """
    names: dict[int, list[str]] = {}
    for name, member in members.items():
        names.setdefault(id(member), []).append(name)
    for descriptor, contents in zip(layout.manifest["layers"], layout.layers, strict=True):
        if names.keys().isdisjoint(map(id, contents.members)):
            continue
        blob = blob_path(layout.folder / BLOBS, str(descriptor["digest"]))
        with tarfile.open(blob, mode="r:*", bufsize=CHUNK) as archive:
            for member, known in zip(archive, contents.members, strict=True):
                for name in names.get(id(known), ()):
                    if member.isfile() and (data := archive.extractfile(member)):
                        yield name, data


def below(layout: Layout, folder: str) -> dict[str, TarInfo]:
    """Return the entries below a folder of an image that are no folders, by their path in there."""
    start = f"{folder.strip('/')}/"
    return {
        path.removeprefix(start): member
        for path, member in merged(layout).members.items()
        if path.startswith(start) and not member.isdir()
    }


def file_digests(layout: Layout, folder: str) -> dict[str, str]:
    """Return the SHA-256 of each file below a folder of an image, by its path in there; "" for what is no file."""
    members = below(layout, folder)
    found = {name: _sha256(data) for name, data in opened(layout, members)}
    return {name: found.get(name, "") for name in members}


def _sha256(data: IO[bytes]) -> str:
    digest = hashlib.sha256()
    while chunk := data.read(CHUNK):
        digest.update(chunk)
    return digest.hexdigest()
