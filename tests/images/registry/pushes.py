"""Pushes to a registry on loopback, with what was told and waited for."""

from typing import Any

import pytest

from images.errors import PushError
from images.registry.connection import Credentials
from images.registry.push import Destination, Image, Moved, Push
from tests.images.registry.uploads import SECRET, USER, UploadRegistry

# Weights of 5,000 bytes that cannot be compressed are six chunks of this size.
CHUNK = 1_000
NAMES = ("shop-intents-cpu", "shop-words-cpu")
LOGIN = Credentials(user=USER, secret=SECRET)


class Pusher:
    """Pushes of images to a registry, with what was told and waited for."""

    def __init__(self, registry: UploadRegistry) -> None:
        self.registry = registry
        self.told: list[tuple[str, Moved]] = []
        self.pauses: list[float] = []

    def __call__(self, *images: Image, credentials: Credentials | None = None) -> list[Moved]:
        def told(name: str, moved: Moved) -> None:
            self.told.append((name, moved))

        to = Destination(host=self.registry.host, prefix="team")
        push = Push(to, credentials, told, self.pauses.append, CHUNK)
        return push.run(images)

    def refused(self, *images: Image, credentials: Credentials | None = None) -> str:
        """Return the one problem of a push that leaves no tag."""
        with pytest.raises(PushError) as caught:
            self(*images, credentials=credentials)
        assert self.registry.manifests == {}
        [problem] = caught.value.problems
        return f"{problem.code.value}: {caught.value}"


def arrived(registry: UploadRegistry, image: Image) -> bool:
    """Return True if the registry has the image by its tag, and each of its blobs byte for byte."""
    repository = f"team/{image.name}"
    return registry.manifests.get((repository, image.tag)) == image.manifest and all(
        registry.blobs.get((repository, blob.digest)) == blob.path.read_bytes()
        for blob in image.blobs
    )


def weights_of(image: Image) -> Any:
    return max(image.blobs, key=lambda blob: blob.size)
