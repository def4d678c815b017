"""A cascade is deployed with the artefacts that it was calibrated with, and is off with any others."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from build.cascade.calibrating import Asked, calibrate
from contracts.cascade.calibration import FILE
from contracts.specs import CpuSpec, Deployment, GpuSpec, ModelSpec
from contracts.tasks import Task, Tier
from stacks.routes.cascades import STALE
from stacks.routes.table import make_routes, read_artefacts
from tests.build.cascade.moods import GPU, artefacts, rows, write
from tests.fixtures.models.tiny import Tiny, artefact


@pytest.fixture
def given(tmp_path: Path) -> tuple[Deployment, Path]:
    """A deployment of one model whose cascade is calibrated, and the folder of its artefacts."""
    out = artefacts(tmp_path / "models.out")
    model = ModelSpec(
        name="moods",
        source="unused",
        task=Task.TEXT_CLASSIFICATION,
        eval=write(tmp_path / "eval.jsonl", [{"text": "awful lovely", "label": "bad"}]),
        cpu=CpuSpec(),
        gpu=GpuSpec(instance="ml.g6.xlarge"),
    )
    lines = rows(awful=300, lovely=300, dim=100)
    calibrate(model, out, Asked(rows=write(tmp_path / "rows.jsonl", lines)))
    return Deployment(models=(model,)), out


def test_the_route_has_the_threshold_of_the_calibration(given: tuple[Deployment, Path]) -> None:
    deployment, out = given
    found, problems = read_artefacts(deployment, out)
    assert problems == []
    cascade = make_routes(deployment, found, {}, out).models["moods"].cascade
    assert cascade is not None
    assert (cascade.off, cascade.doubts) == ("", ())
    assert 0 < cascade.threshold < 1
    assert cascade.bound <= 0.01


def test_an_artefact_that_was_built_again_switches_it_off(given: tuple[Deployment, Path]) -> None:
    deployment, out = given
    words = {**GPU, "fresh": (1.0, 0, 0)}
    shutil.rmtree(out / "moods/gpu")
    artefact(out / "moods/gpu", Tiny(model="moods", tier=Tier.GPU, words=words))
    found, problems = read_artefacts(deployment, out)
    assert problems == []
    assert found.cascades["moods"].off == STALE


def test_a_model_that_lost_a_tier_has_none(given: tuple[Deployment, Path]) -> None:
    deployment, out = given
    alone = replace(deployment, models=(replace(deployment.models[0], gpu=None),))
    assert read_artefacts(alone, out)[0].cascades == {}


def test_a_calibration_that_was_changed_stops_a_deployment(given: tuple[Deployment, Path]) -> None:
    deployment, out = given
    path = out / "moods" / FILE
    path.write_text(path.read_text("utf-8").replace('"assurance": 0.95', '"assurance": 0.99'))
    (problem,) = read_artefacts(deployment, out)[1]
    assert problem.code == "calibration_broken"
