"""Fewer dimensions that a model's vectors may be cut to, as models.toml has them."""

from dataclasses import replace
from pathlib import Path

import pytest

from contracts.manifest import SHORTER, Manifest
from contracts.models_toml import ConfigError, read_models_toml
from contracts.tasks import Task, Tier
from tests.fixtures.problems import assert_problems

EMBEDDER = '[models.a]\nsource = "a"\ntask = "feature-extraction"\neval = "a.jsonl"\ncpu = {}\n'
MODEL = EMBEDDER.replace("feature-extraction", "text-classification")


def written(folder: Path, text: str) -> Path:
    path = folder / "models.toml"
    path.write_text(text, "utf-8")
    return path


def test_fewer_dimensions_are_taken_the_most_first(tmp_path: Path) -> None:
    path = written(tmp_path, f"{EMBEDDER}dimensions = [64, 256]\n")
    assert read_models_toml(path).models[0].dimensions == (256, 64)


@pytest.mark.parametrize("given", ["256", "[0]", "[-1]", "[1.5]", "[true]", '["64"]', "[64, 64]"])
def test_dimensions_that_no_vector_can_be_cut_to_are_refused(tmp_path: Path, given: str) -> None:
    path = written(tmp_path, f"{EMBEDDER}dimensions = {given}\n")
    with pytest.raises(ConfigError) as caught:
        read_models_toml(path)
    problem = ("setting_invalid", "models.a.dimensions", "a list of whole numbers", "each once")
    assert_problems(caught.value.problems, problem)


def test_no_other_task_has_vectors_to_cut(tmp_path: Path) -> None:
    path = written(tmp_path, f"{MODEL}dimensions = [64]\n")
    with pytest.raises(ConfigError) as caught:
        read_models_toml(path)
    problem = ("setting_invalid", "models.a.dimensions", "feature-extraction alone", "remove it")
    assert_problems(caught.value.problems, problem)


def test_a_manifest_seals_those_that_were_proved() -> None:
    whole = Manifest(
        model="a",
        task=Task.FEATURE_EXTRACTION,
        tier=Tier.CPU,
        precision="int8",
        recipe="int8",
        max_tokens=8,
        dimensions=384,
        toolchain={},
    ).sealed()
    cut = replace(whole, details={SHORTER: [256, 64]}).sealed()
    assert (whole.shorter_dimensions, cut.shorter_dimensions) == ((), (256, 64))
    assert whole.version != cut.version
    assert Manifest.from_json(cut.to_json()) == cut
