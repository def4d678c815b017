"""Pushes of image layouts: every byte checked first, blobs before manifests, so that no tag leads to half an image."""

import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from typing import Any
from urllib.error import HTTPError

from contracts.problems import Code, Problem
from images.blob import blob_path
from images.errors import ImageError
from images.oci.layout import BLOBS, Json
from images.oci.reading import read_layout
from images.registry.connection import Connection, Credentials
from images.registry.credentials import HUB
from images.registry.failures import push_error
from images.registry.upload import CHUNK, Blob, Upload, check_digest

# https://github.com/opencontainers/distribution-spec/blob/v1.1.0/spec.md#pulling-manifests
NAME = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
DESTINATION = re.compile(
    rf"(?P<host>(?:[\w.-]+|\[[0-9a-fA-F:]+\])(?::\d{{1,5}})?)(?:/(?P<prefix>{NAME}(?:/{NAME})*))?/?"
)
# A tag of its own for each image: registries that let no tag be moved take it, and older images keep theirs.
TAG_LENGTH = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class Destination:
    """A registry, and what its repositories' names begin with."""

    host: str
    prefix: str = ""

    def repository(self, name: str) -> str:
        return f"{self.prefix}/{name}" if self.prefix else name


@dataclass(frozen=True, slots=True, kw_only=True)
class Image:
    """A layout that was read, every byte of it checked: its blobs, and the manifest that is put last."""

    name: str
    media_type: str
    manifest: bytes
    digest: str
    blobs: tuple[Blob, ...]

    @property
    def tag(self) -> str:
        return self.digest.removeprefix("sha256:")[:TAG_LENGTH]

    @property
    def size(self) -> int:
        return len(self.manifest) + sum(blob.size for blob in self.blobs)


@dataclass(frozen=True, slots=True, kw_only=True)
class Moved:
    """The bytes of an image that were sent, and those that were there already or were mounted."""

    sent: int = 0
    there: int = 0


Told = Callable[[str, Moved], None]


def destination(text: str) -> Destination:
    """Read `REGISTRY/PREFIX`; raise ValueError for anything else."""
    found = DESTINATION.fullmatch(text)
    # As in Docker: a first part without a dot, a port or this name is a user of Docker Hub.
    if not found or not re.search(r"[.:\]]|^localhost$", found["host"]):
        raise ValueError(
            f"{text!r} is not REGISTRY/PREFIX in lower case, such as docker.io/me or "
            "123456789012.dkr.ecr.eu-west-1.amazonaws.com/shop"
        )
    host = HUB if found["host"] in ("docker.io", "index.docker.io") else found["host"]
    return Destination(host=host, prefix=found["prefix"] or "")


def read_images(folders: Sequence[Path]) -> list[Image]:
    """Return the images of layouts after checking every byte; raise ImageError for all that do not hold, by name."""
    images, problems = [], []
    for folder in folders:
        try:
            images.append(_read(folder))
        except ImageError as error:
            problems += [problem.within(folder) for problem in error.problems]
    if problems:
        raise ImageError("nothing was pushed", problems)
    return images


def _read(folder: Path) -> Image:
    layout = read_layout(folder)
    if len(layout.descriptors) != 1:
        message = "its index names more than one image; build the image again"
        raise ImageError(folder, [Problem(code=Code.IMAGE_MANIFEST, message=message)])
    [descriptor] = layout.descriptors
    digest = str(descriptor["digest"])
    parts = (layout.manifest["config"], *layout.manifest["layers"])
    blobs = {str(part["digest"]): _blob(folder, part) for part in parts}
    return Image(
        name=folder.name,
        media_type=str(descriptor["mediaType"]),
        manifest=blob_path(folder / BLOBS, digest).read_bytes(),
        digest=digest,
        blobs=tuple(blobs.values()),
    )


def _blob(folder: Path, part: Json) -> Blob:
    digest = str(part["digest"])
    return Blob(path=blob_path(folder / BLOBS, digest), digest=digest, size=part["size"])


class Push:
    """A push of images to one registry; what one of them brings there is mounted for the others."""

    def __init__(
        self,
        to: Destination,
        credentials: Credentials | None,
        told: Told,
        pause: Callable[[float], None] = time.sleep,
        chunk: int = CHUNK,
    ) -> None:
        self._to, self._credentials, self._told = to, credentials, told
        self._pause, self._chunk = pause, chunk
        # The repository that each blob is known to be in.
        self._places: dict[str, str] = {}

    def run(self, images: Sequence[Image]) -> list[Moved]:
        """Push the images, the blobs of all before the first manifest; return how much of each was sent.

        Raise PushError at the first that cannot be: no tag leads to it, and the next push finds what was sent.
        """
        connections = [self._connection(image, images) for image in images]
        blobs = [
            self._send_blobs(connection, image)
            for connection, image in zip(connections, images, strict=True)
        ]
        return [
            self._put_manifest(connection, image, moved)
            for connection, image, moved in zip(connections, images, blobs, strict=True)
        ]

    def _connection(self, image: Image, images: Sequence[Image]) -> Connection:
        """Return a connection that may push to the image's repository, and mount from those of the others."""
        own = self._to.repository(image.name)
        others = [self._to.repository(one.name) for one in images if one.name != image.name]
        scopes = [f"repository:{own}:pull,push", *(f"repository:{name}:pull" for name in others)]
        return Connection(self._to.host, own, scopes=scopes, credentials=self._credentials)

    def _send_blobs(self, connection: Connection, image: Image) -> Moved:
        moved = Moved()
        self._told(image.name, moved)
        for blob in image.blobs:
            moved = self._send_blob(connection, image, blob, moved)
            self._told(image.name, moved)
            self._places.setdefault(blob.digest, connection.repository)
        return moved

    def _send_blob(self, connection: Connection, image: Image, blob: Blob, before: Moved) -> Moved:
        def told(offset: int) -> None:
            self._told(image.name, Moved(sent=before.sent + offset, there=before.there))

        place = self._places.get(blob.digest, "")
        upload = Upload(connection, blob, told, self._pause, self._chunk)
        try:
            sent = upload.run(place if place != connection.repository else "")
        except (OSError, HTTPException) as error:
            raise push_error(connection, f"blob {blob.digest}", error) from error
        if sent:
            return Moved(sent=before.sent + blob.size, there=before.there)
        return Moved(sent=before.sent, there=before.there + blob.size)

    def _put_manifest(self, connection: Connection, image: Image, before: Moved) -> Moved:
        size = len(image.manifest)
        try:
            if self._tagged(connection, image):
                moved = Moved(sent=before.sent, there=before.there + size)
            else:
                with connection.open(
                    "PUT",
                    connection.url(f"manifests/{image.tag}"),
                    {"Content-Type": image.media_type},
                    lambda: image.manifest,
                ) as answer:
                    check_digest(answer, image.digest)
                moved = Moved(sent=before.sent + size, there=before.there)
        except (OSError, HTTPException) as error:
            raise push_error(connection, f"manifest {image.digest}", error) from error
        self._told(image.name, moved)
        return moved

    def _tagged(self, connection: Connection, image: Image) -> bool:
        """Return True if the tag leads to the image already: some registries refuse to have it put again."""
        url = connection.url(f"manifests/{image.tag}")
        try:
            with connection.open("HEAD", url, {"Accept": image.media_type}) as answer:
                found: Any = answer.headers.get("Docker-Content-Digest")
        except HTTPError as error:
            if error.code == 404:
                return False
            raise
        return bool(found == image.digest)
