"""Slimmed images of every task answer golden rows as the source tree does, and wrong requests as whole images do."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from contracts.manifest import read_manifest
from contracts.prediction import PredictRequest
from contracts.tasks import Task, Tier
from functions.inference.engine import Engine
from images.base import Base
from images.image import Contents, Runtime
from images.runtime import runtime_of
from images.slimming.cases import cases
from images.slimming.function import replies
from images.slimming.pieces import Slimming
from images.slimming.proof import pieces_needed
from images.staging import model_files
from tests.fixtures.families import SMALL, Builds, requests_of
from tests.fixtures.models.tiny import artefact as tiny
from turnout.image.slimming import root_of_image

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


def contents_of(artefact: Path) -> Contents:
    return Contents(name="image", files=model_files(Tier.CPU, artefact), tier=Tier.CPU)


def test_there_is_a_small_model_of_every_task() -> None:
    assert {small.task for small in SMALL.values()} == set(Task)


@pytest.mark.exhaustive(keep=1)
@pytest.mark.parametrize("name", list(SMALL))
def test_every_row_is_answered_as_from_the_source_tree(
    builds: Builds, runtime: Runtime, name: str, folder: Path, tmp_path: Path
) -> None:
    artefact = builds[name].artefact
    requests = requests_of(name, tmp_path)
    of_task = cases(read_manifest(artefact).task, requests)
    golden = replace(of_task[0], payloads=of_task[0].payloads[: len(requests)])
    slimmed = root_of_image(contents_of(artefact), runtime, folder)
    assert len(slimmed.pieces) > 200
    found = replies(slimmed.root, slimmed.settings, golden)
    engine = Engine.load(artefact)
    expected = [_outputs(engine, payload) for payload in golden.payloads]
    assert [json.loads(reply.payload)["outputs"] for reply in found] == expected
    assert pieces_needed(slimmed, of_task, tmp_path) == ()


def _outputs(engine: Engine, payload: bytes) -> Any:
    document = json.loads(payload)
    request = PredictRequest(inputs=tuple(document["inputs"]), parameters=document["parameters"])
    return json.loads(json.dumps(list(engine.predict(request).outputs)))
