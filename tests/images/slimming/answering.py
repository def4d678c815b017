"""The answers of a slimmed image, compared with those of the source tree and of the whole image."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from contracts.manifest import read_manifest
from contracts.prediction import PredictRequest
from contracts.tasks import Tier
from functions.inference.engine import Engine
from images.image import Contents, Runtime
from images.slimming.cases import cases
from images.slimming.function import replies
from images.slimming.proof import pieces_needed
from images.staging import model_files
from tests.fixtures.families import Builds, requests_of
from turnout.image.slimming import root_of_image


def contents_of(artefact: Path) -> Contents:
    return Contents(name="image", files=model_files(Tier.CPU, artefact), tier=Tier.CPU)


def assert_answered(
    name: str, builds: Builds, runtime: Runtime, folder: Path, tmp_path: Path
) -> None:
    """Assert that an image answers as the source tree does, and wrong requests as the whole image."""
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
