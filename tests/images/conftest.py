"""The base that is made of Debian's packages, and an image of the CPU function on it, made once for all processes."""

import fcntl
import os
import shutil
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from contracts.tasks import Tier
from images.base import TABLE, Base, base_of, read_table
from images.debian.layer import PACKAGES
from images.debian.packages import pin, read_debian_lock
from images.engine.engine import CHOICE, Engine
from images.errors import ImageError
from images.image import Contents, build_image
from images.layer import Entry
from images.oci.reading import read_layout
from images.running.function import unpack
from images.runtime import runtime_of
from images.slimming.pieces import Slimming
from images.staging import model_files
from images.wheels import dependencies
from tests.fixtures.paths import ROOT
from tests.images.engine.stores import engine_named, podman_store
from tests.images.running.functions import put_modules


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Keep the other processes that share the tests from a folder."""
    with (folder / "lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


@pytest.fixture(scope="session")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of bases and wheels, each of which is downloaded once."""
    own = tmp_path_factory.getbasetemp()
    folder = (own.parent if "PYTEST_XDIST_WORKER" in os.environ else own) / "images"
    folder.mkdir(exist_ok=True)
    return folder


@pytest.fixture(scope="session")
def table(work: Path) -> Path:
    """The table of bases, with the lock of the day where Debian no longer has what ours pins."""
    folder = work / "table"
    with alone(work):
        if not folder.is_dir():
            folder.mkdir()
            shutil.copytree(TABLE.parent / "debian", folder / "debian")
            shutil.copy(TABLE, folder)
    return folder / "bases.json"


@pytest.fixture(scope="session")
def base(table: Path, work: Path) -> Base:
    with alone(work):
        try:
            return base_of("debian", work, table)
        except ImageError as error:
            if "was not found" not in str(error):
                raise
            warnings.warn(f"run python -m scripts.renew_bases: {error}", stacklevel=1)
            lock = table.parent / read_table(table)["debian"].lock
            lock.write_text(
                pin(read_debian_lock(lock).release, PACKAGES, work / "pinning").text(), "utf-8"
            )
            return base_of("debian", work, table)


@pytest.fixture(scope="session")
def cpu_image(base: Base, work: Path) -> Path:
    """The layout of an image with the CPU function, its packages and a tiny classifier."""
    from tests.fixtures.models.tiny import artefact

    layout = work / "shop-intents-cpu"
    with alone(work):
        if not layout.is_dir():
            sealed = artefact(work / "artefact")
            files = model_files(Tier.CPU, sealed)
            contents = Contents(name=layout.name, files=files, tier=Tier.CPU)
            # The functions of tests open what no request does.
            whole = Slimming(whole=True)
            runtime = runtime_of(contents, base, work, work / "layers-of-images", whole)
            build_image(contents, runtime, layout, work / "layers-of-images")
    return layout


@pytest.fixture(scope="session")
def root(cpu_image: Path, work: Path) -> Path:
    """The file system of that image, which no test changes, with a module besides that does as it is told."""
    folder = work / "root"
    with alone(work):
        if not folder.is_dir():
            half = work / "half-root"
            unpack(read_layout(cpu_image), half)
            put_modules(half)
            half.rename(folder)
    return folder


@pytest.fixture(scope="session")
def packages(work: Path) -> list[Entry]:
    """The files of the packages of the CPU function, before any is removed."""
    with alone(work):
        return dependencies(ROOT / "functions/cpu/requirements.txt", work)


@pytest.fixture(scope="session")
def engine(work: Path) -> Engine:
    """The engine of this machine, which tests need that are left out without one."""
    return engine_named(os.environ.get(CHOICE, ""), work)


@pytest.fixture(scope="module")
def podman(work: Path) -> Iterator[Engine]:
    """Podman with a store of its own, as images get names in it that mean others elsewhere."""
    with podman_store(work) as engine:
        yield engine
