"""The artefacts of a deployment of two models, one of them on both tiers."""

from pathlib import Path

import pytest

from contracts.tasks import Tier
from tests.fixtures.models.tiny import Tiny, artefact, vectors


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("out")
    artefact(folder / "intents/cpu", Tiny(model="intents"))
    artefact(folder / "intents/gpu", Tiny(model="intents", tier=Tier.GPU))
    artefact(folder / "words/cpu", vectors())
    return folder
