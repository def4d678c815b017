"""The image of the CPU function, read once, and AWS's emulator."""

from pathlib import Path

import pytest

from images.oci.reading import Layout, read_layout
from images.running.function import unpack
from images.running.rie import emulator
from tests.images.conftest import alone
from tests.images.running.functions import put_handler


@pytest.fixture(scope="session")
def layout(cpu_image: Path) -> Layout:
    return read_layout(cpu_image)


@pytest.fixture(scope="session")
def rie(work: Path) -> Path:
    with alone(work):
        return emulator(work)


@pytest.fixture(scope="session")
def root(layout: Layout, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The image's file system, with a function besides that does as it is told."""
    root = tmp_path_factory.mktemp("root") / "root"
    unpack(layout, root)
    put_handler(root)
    return root
