"""The image of the CPU function, read once, and AWS's emulator."""

from pathlib import Path

import pytest

from images.oci.reading import Layout, read_layout
from images.running.rie import emulator
from tests.images.conftest import alone


@pytest.fixture(scope="session")
def layout(cpu_image: Path) -> Layout:
    return read_layout(cpu_image)


@pytest.fixture(scope="session")
def rie(work: Path) -> Path:
    with alone(work):
        return emulator(work)
