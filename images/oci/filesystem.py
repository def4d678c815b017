"""The file system of an image: its layers merged, as a container sees them."""

import tarfile
from collections.abc import Mapping
from dataclasses import dataclass
from tarfile import TarInfo

from images.blob import blob_path
from images.layer import OPAQUE, WHITEOUT
from images.oci.layout import BLOBS
from images.oci.reading import Layout

# Linux's own limit on the links of one path.
MAX_LINKS = 40


@dataclass(frozen=True, slots=True, kw_only=True)
class Filesystem:
    """The entries of an image by their paths, relative to its root."""

    members: Mapping[str, TarInfo]

    def find(self, path: str) -> TarInfo | None:
        """Return the entry at a path after following every link; None if there is none, or they form a circle."""
        rest, place = path.split("/"), ""
        member: TarInfo | None = None
        links = 0
        while rest:
            word = rest.pop(0)
            if word in ("", "."):
                continue
            if word == "..":
                place = place.rpartition("/")[0]
                continue
            here = f"{place}/{word}".lstrip("/")
            if (member := self.members.get(here)) is None:
                return None
            if not member.issym():
                place = here
            elif (links := links + 1) > MAX_LINKS:
                return None
            else:
                rest = member.linkname.split("/") + rest
                place = "" if member.linkname.startswith("/") else place
        return self.members.get(place)


def merged(layout: Layout) -> Filesystem:
    """Return the layers merged, lowest first, with what upper ones remove taken out.

    https://github.com/opencontainers/image-spec/blob/v1.1.0/layer.md#applying-changesets
    """
    found: dict[str, TarInfo] = {}
    for layer in layout.layers:
        # What is removed is what lower layers have, wherever in the archive the entry for it stands.
        for path in [member.name.removeprefix("./").strip("/") for member in layer.members]:
            folder, _, name = path.rpartition("/")
            if name == OPAQUE:
                _remove(found, folder, itself=False)
            elif name.startswith(WHITEOUT):
                _remove(found, f"{folder}/{name.removeprefix(WHITEOUT)}".lstrip("/"), itself=True)
        for member in layer.members:
            path = member.name.removeprefix("./").strip("/")
            if path in ("", ".") or path.rpartition("/")[2].startswith(WHITEOUT):
                continue
            if path in found and found[path].isdir() and not member.isdir():
                _remove(found, path, itself=True)
            found[path] = member
    return Filesystem(members=found)


def _remove(members: dict[str, TarInfo], path: str, *, itself: bool) -> None:
    below = f"{path}/" if path else ""
    for other in [one for one in members if one.startswith(below) or (itself and one == path)]:
        del members[other]


def file_of(layout: Layout, path: str) -> bytes | None:
    """Return the bytes of a file, of the uppermost layer that has one at the path; None if none has.

    Layers are those of gzip, as ours are, and what upper ones remove is not looked at.
    """
    for layer in reversed(layout.manifest["layers"]):
        blob = blob_path(layout.folder / BLOBS, str(layer["digest"]))
        with tarfile.open(blob, "r|gz") as archive:
            for member in archive:
                if member.isfile() and member.name.removeprefix("./") == path:
                    file = archive.extractfile(member)
                    return file.read() if file else None
    return None
