"""Slimmed images of every task answer golden rows as the source tree does, and wrong requests as whole images do."""

from pathlib import Path

import pytest

from contracts.tasks import Task
from images.base import Base
from images.image import Runtime
from images.runtime import runtime_of
from images.slimming.pieces import Slimming
from tests.fixtures.families import SMALL, Builds
from tests.fixtures.models.tiny import artefact as tiny
from tests.images.slimming.answering import assert_answered, contents_of

pytestmark = pytest.mark.build


@pytest.fixture(scope="module")
def builds(tmp_path_factory: pytest.TempPathFactory) -> Builds:
    return Builds(tmp_path_factory.mktemp("builds"))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("slimmed")


@pytest.fixture(scope="module")
def runtime(base: Base, work: Path, folder: Path) -> Runtime:
    """The runtime of every CPU image, as it is shipped."""
    contents = contents_of(tiny(folder / "any"))
    return runtime_of(contents, base, work, folder / "blobs", Slimming())


def test_there_is_a_small_model_of_every_task() -> None:
    assert {small.task for small in SMALL.values()} == set(Task)


@pytest.mark.exhaustive(keep=1)
@pytest.mark.parametrize("name", list(SMALL))
def test_every_row_is_answered_as_from_the_source_tree(
    builds: Builds, runtime: Runtime, name: str, folder: Path, tmp_path: Path
) -> None:
    assert_answered(name, builds, runtime, folder, tmp_path)
