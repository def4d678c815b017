"""Base images from a registry, by their digests: https://github.com/opencontainers/distribution-spec/blob/v1.1.0/spec.md."""

import hashlib
import re
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from typing import Any
from urllib.error import HTTPError

from contracts.manifest import file_sha256
from contracts.problems import Code, Problem
from images.blob import blob_path, new_blob
from images.errors import ImageError
from images.layer import Layer
from images.registry.connection import MAX_DOCUMENT, Connection, read_document

MANIFESTS = (
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.v2+json",
)
INDEXES = (
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
)
LAYERS = (
    "application/vnd.oci.image.layer.v1.tar+gzip",
    "application/vnd.docker.image.rootfs.diff.tar.gzip",
)
PLATFORM = ("linux", "amd64")
REFERENCE = re.compile(r"(?P<host>[^/]+)/(?P<repository>[^:@]+):(?P<tag>[\w.-]+)")
CHUNK = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class PulledImage:
    """An image of a registry: its layers, which lie on this machine, and its settings."""

    layers: tuple[Layer, ...]
    env: dict[str, str]
    entrypoint: tuple[str, ...]
    workdir: str


class Repository:
    """A repository of a registry, read with the anonymous token that public registries hand out."""

    def __init__(self, image: str) -> None:
        found = REFERENCE.fullmatch(image)
        if not found:
            raise _unavailable(image, "is not HOST/REPOSITORY:TAG; correct images/bases.json")
        self.image, self.tag = image, found["tag"]
        self._connection = Connection(found["host"], found["repository"])

    def manifest(self, reference: str) -> tuple[bytes, dict[str, Any]]:
        """Return a manifest by tag or digest, as bytes and read."""
        body = self._read(f"manifests/{reference}", ", ".join(MANIFESTS + INDEXES))
        return body, self._document(body)

    def document(self, digest: str) -> dict[str, Any]:
        """Return a blob that is JSON."""
        body = self._read(f"blobs/{digest}", "*/*")
        self.check(body, digest)
        return self._document(body)

    def blob(self, digest: str, size: int, folder: Path) -> Path:
        """Download a blob into a folder of blobs, unless it is there whole; return its place."""
        place = blob_path(folder, digest)
        if place.is_file() and f"sha256:{file_sha256(place)}" == digest:
            return place
        with self._answer(f"blobs/{digest}", "*/*") as answer, new_blob(folder) as blob:
            while chunk := self._part(answer, CHUNK):
                blob.write(chunk)
                # No more is written to the disk than the manifest says.
                if blob.size > size:
                    break
            if blob.digest != digest:
                raise _unavailable(self.image, f"its blob {digest} came damaged; try again")
        return place

    def check(self, body: bytes, digest: str) -> None:
        """Raise ImageError unless the bytes have the digest."""
        if _digest(body) != digest:
            raise _unavailable(self.image, f"its document {digest} came damaged; try again")

    def _read(self, path: str, accept: str) -> bytes:
        with self._answer(path, accept) as answer:
            body = self._part(answer, MAX_DOCUMENT + 1)
        if len(body) > MAX_DOCUMENT:
            raise _unavailable(self.image, f"{path} is larger than {MAX_DOCUMENT >> 20} MiB")
        return body

    def _answer(self, path: str, accept: str) -> AbstractContextManager[Any]:
        with self._network():
            url = self._connection.url(path)
            answer: AbstractContextManager[Any] = self._connection.open(
                "GET", url, {"Accept": accept}
            )
            return answer

    def _part(self, answer: Any, size: int) -> bytes:
        """Return the next bytes of an answer, `size` at most."""
        with self._network():
            part: bytes = answer.read(size)
            return part

    @contextmanager
    def _network(self) -> Iterator[None]:
        """Raise ImageError where the block, which writes nothing to the disk, cannot reach the registry."""
        try:
            yield
        except (OSError, HTTPException) as error:
            raise self._unreachable(error) from error

    def _document(self, body: bytes) -> dict[str, Any]:
        try:
            return read_document(body)
        except ValueError as error:
            raise _unavailable(self.image, f"its registry answered {error}") from error

    def _unreachable(self, error: OSError | HTTPException) -> ImageError:
        if isinstance(error, HTTPError):
            message = f"its registry answered {error.code} {error.reason}"
        else:
            message = f"its registry cannot be reached ({getattr(error, 'reason', error)})"
        advice = 'try where there is a network, or take the base "debian"'
        return _unavailable(self.image, f"{message}; {advice}")


def resolve(image: str) -> str:
    """Return the digest that the tag of an image has now, for Linux on x86-64; raise ImageError."""
    repository = Repository(image)
    body, manifest = repository.manifest(repository.tag)
    return _of_platform(image, manifest) if "manifests" in manifest else _digest(body)


def pull(image: str, digest: str, blobs: Path) -> PulledImage:
    """Return an image by its digest, with its layers in a folder of blobs; those that are there are not downloaded.

    Raise ImageError if it cannot be had, or one byte of it is not what the digests say. Each layer's `diff_id` is the
    one of the image's settings, which its digest vouches for.
    """
    repository = Repository(image)
    body, manifest = repository.manifest(digest)
    repository.check(body, digest)
    if "manifests" in manifest:
        digest = _of_platform(image, manifest)
        body, manifest = repository.manifest(digest)
        repository.check(body, digest)
    with _reading(image):
        settings = repository.document(manifest["config"]["digest"])
        diff_ids, layers = settings["rootfs"]["diff_ids"], manifest["layers"]
        kinds = {layer["mediaType"] for layer in layers} - set(LAYERS)
        if kinds or len(diff_ids) != len(layers):
            found = (
                f"layers of the kind {', '.join(sorted(kinds))}"
                if kinds
                else "other layers than its settings"
            )
            raise _unavailable(image, f"it has {found}, which cannot be used")
        return PulledImage(
            layers=_layers(repository, layers, diff_ids, blobs), **_settings(settings["config"])
        )


@contextmanager
def _reading(image: str) -> Iterator[None]:
    """Raise ImageError for a document that is not made as it has to be."""
    try:
        yield
    except (LookupError, TypeError, AttributeError) as error:
        message = (
            f"its manifest or settings are not those of an image ({type(error).__name__}: {error}); "
            'name another in images/bases.json, or take the base "debian"'
        )
        raise _unavailable(image, message) from error


def _layers(
    repository: Repository, layers: Sequence[dict[str, Any]], diff_ids: Sequence[str], blobs: Path
) -> tuple[Layer, ...]:
    return tuple(
        Layer(
            blob=repository.blob(layer["digest"], layer["size"], blobs),
            digest=layer["digest"],
            diff_id=diff_id,
            size=layer["size"],
        )
        for layer, diff_id in zip(layers, diff_ids, strict=True)
    )


def _settings(config: dict[str, Any]) -> dict[str, Any]:
    pairs = (variable.partition("=") for variable in config.get("Env") or ())
    return {
        "env": {name: value for name, _, value in pairs},
        "entrypoint": tuple(config.get("Entrypoint") or ()),
        "workdir": config.get("WorkingDir") or "/",
    }


def _of_platform(image: str, index: dict[str, Any]) -> str:
    """Return the digest of the one manifest of an index that is for our platform."""
    with _reading(image):
        for manifest in index["manifests"]:
            platform = manifest.get("platform") or {}
            if (platform.get("os"), platform.get("architecture")) == PLATFORM:
                return str(manifest["digest"])
    raise _unavailable(image, f"its registry has none for {'/'.join(PLATFORM)}")


def _digest(body: bytes) -> str:
    return f"sha256:{hashlib.sha256(body).hexdigest()}"


def _unavailable(image: str, message: str) -> ImageError:
    return ImageError(image, [Problem(code=Code.BASE_UNAVAILABLE, message=message)])
