"""A registry, two images and their push."""

import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from images.layer import Entry, write_layer
from images.oci.layout import write_layout
from images.registry.push import Image, read_images
from tests.images.layouts import BASE, CODE, SETTINGS
from tests.images.registry.pushes import NAMES, Pusher
from tests.images.registry.uploads import UploadRegistry, upload_registry


@pytest.fixture
def registry() -> Iterator[UploadRegistry]:
    with upload_registry() as running:
        yield running


@pytest.fixture
def folders(tmp_path: Path) -> list[Path]:
    """Two images that share all but their weights."""
    made = []
    for seed, name in enumerate(NAMES):
        weights = Entry(path="var/task/model/w", source=random.Random(seed).randbytes(5_000))
        layers = [
            (kind, write_layer(entries, tmp_path / "work"))
            for kind, entries in (("base", BASE), ("weights", (weights,)), ("code", CODE))
        ]
        write_layout(tmp_path / name, name, layers, SETTINGS)
        made.append(tmp_path / name)
    return made


@pytest.fixture
def images(folders: list[Path]) -> list[Image]:
    return read_images(folders)


@pytest.fixture
def push(registry: UploadRegistry) -> Pusher:
    return Pusher(registry)
