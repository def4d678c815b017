"""The scaling of a GPU tier in `models.toml`: what cannot be is refused with its key and its fix."""

from pathlib import Path

import pytest

from contracts.models_toml import ConfigError, read_models_toml
from contracts.scaling.awake import Awake
from contracts.specs import GpuSpec
from tests.fixtures.problems import assert_problems

INVALID = "setting_invalid"


def read(tmp_path: Path, settings: str) -> GpuSpec:
    path = tmp_path / "models.toml"
    table = f'gpu = {{ instance = "ml.g6.xlarge", {settings} }}'
    path.write_text(f'[models.m]\nsource = "s"\ntask = "fill-mask"\neval = "e"\n{table}\n', "utf-8")
    gpu = read_models_toml(path).models[0].gpu
    assert gpu
    return gpu


def test_one_instance_runs_all_the_time_by_default(tmp_path: Path) -> None:
    gpu = read(tmp_path, "timeout_s = 9")
    assert (gpu.min_instances, gpu.max_instances, gpu.awake) == (1, 1, None)


def test_every_setting_of_the_scaling_is_taken(tmp_path: Path) -> None:
    bounds = "min_instances = 0, max_instances = 3, requests_per_copy = 8, scale_in_cooldown_s = 60"
    assert read(tmp_path, f'{bounds}, awake = "Sat 09:00-12:30 UTC"') == GpuSpec(
        instance="ml.g6.xlarge",
        min_instances=0,
        max_instances=3,
        requests_per_copy=8,
        scale_in_cooldown_s=60,
        awake=Awake(days=(5,), start=540, end=750, zone="UTC"),
    )


@pytest.mark.parametrize(
    ("settings", "problems"),
    [
        ("min_instances = -1", [("min_instances", "-1", "from 0 to 20")]),
        ("max_instances = 0", [("max_instances", "0", "from 1 to 20")]),
        ("max_instances = 21", [("max_instances", "21", "from 1 to 20")]),
        ("min_instances = true", [("min_instances", "True", "whole number")]),
        ("min_instances = 2", [("min_instances", "2 is more than max_instances, which is 1", "= 2")]),
        (
            "min_instances = 5, max_instances = 4",
            [("min_instances", "5 is more than max_instances, which is 4", "write max_instances = 5")],
        ),
        ("requests_per_copy = 0", [("requests_per_copy", "0", "from 1 to 1000")]),
        ("scale_in_cooldown_s = 1.5", [("scale_in_cooldown_s", "1.5", "whole number")]),
        (
            'awake = "Mon 08:00-18:00 UTC"',
            [("awake", "min_instances is 1: the tier never sleeps", "write min_instances = 0")],
        ),
        ("min_instances = 0, awake = 8", [("awake", "8", "such as Mon-Fri 08:00-18:00")]),
        (
            'min_instances = 0, awake = "Mo 18:00-08:00 Berlin"',
            [("awake", "'Mo'", "08:00 is not after 18:00", "'Berlin'", "write days, hours and a time")],
        ),
        (
            'min_instances = 3, max_instances = 2, awake = "daily"',
            [
                ("min_instances", "3 is more than max_instances, which is 2"),
                ("awake", "'daily' has 1 parts instead of 3"),
                ("awake", "min_instances is 3"),
            ],
        ),
    ],
)  # fmt: skip
def test_settings_that_cannot_be_are_refused_all_at_once(
    tmp_path: Path, settings: str, problems: list[tuple[str, ...]]
) -> None:
    with pytest.raises(ConfigError) as caught:
        read(tmp_path, settings)
    expected = [(INVALID, f"models.m.gpu.{key}", *texts) for key, *texts in problems]
    assert_problems(caught.value.problems, *expected)
