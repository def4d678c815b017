"""The bytes of files in an image, as a container sees them."""

import hashlib
import tarfile
from tarfile import TarInfo
from typing import IO

from images.blob import blob_path
from images.layer import CHUNK
from images.oci.filesystem import merged
from images.oci.layout import BLOBS
from images.oci.reading import Layout


def below(layout: Layout, folder: str) -> dict[str, TarInfo]:
    """Return the entries below a folder of an image, or "/", that are no folders, by their path in there."""
    start = f"{folder.strip('/')}/".lstrip("/")
    return {
        path.removeprefix(start): member
        for path, member in merged(layout).members.items()
        if path.startswith(start) and not member.isdir()
    }


def file_digests(layout: Layout, folder: str) -> dict[str, str]:
    """Return the SHA-256 of each file below a folder of an image, by its path in there; "" for what is no file.

    Each layer is read at most once, and no further than needed.
    """
    names = {id(member): name for name, member in below(layout, folder).items()}
    found = dict.fromkeys(names.values(), "")
    for descriptor, contents in zip(layout.manifest["layers"], layout.layers, strict=True):
        left = names.keys() & set(map(id, contents.members))
        if not left:
            continue
        blob = blob_path(layout.folder / BLOBS, str(descriptor["digest"]))
        with tarfile.open(blob, mode="r:*", bufsize=CHUNK) as archive:
            for member, known in zip(archive, contents.members, strict=False):
                if id(known) in left and member.isfile() and (data := archive.extractfile(member)):
                    found[names[id(known)]] = _sha256(data)
                left.discard(id(known))
                if not left:
                    break
    return found


def _sha256(data: IO[bytes]) -> str:
    digest = hashlib.sha256()
    while chunk := data.read(CHUNK):
        digest.update(chunk)
    return digest.hexdigest()
