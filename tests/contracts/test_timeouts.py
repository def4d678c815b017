"""The longest times of tiers that `models.toml` takes."""

from pathlib import Path

import pytest

from contracts.models_toml import ConfigError, read_models_toml
from contracts.specs import ModelSpec
from contracts.tasks import WRITING_TASKS, Task
from tests.fixtures.problems import assert_problems


@pytest.mark.parametrize(
    ("task", "cpu_s", "gpu_s"),
    [(task, *((840, 470) if task in WRITING_TASKS else (25, 25))) for task in Task],
)
def test_only_models_that_write_have_longer_than_an_http_api_waits(
    tmp_path: Path, task: Task, cpu_s: int, gpu_s: int
) -> None:
    def read(more_s: int) -> ModelSpec:
        text = f"""
        [models.a]
        source = "a"
        task = "{task}"
        eval = "a.jsonl"
        cpu = {{ timeout_s = {cpu_s + more_s} }}
        gpu = {{ instance = "ml.g6.xlarge", timeout_s = {gpu_s + more_s} }}
        """
        path = tmp_path / "models.toml"
        path.write_text(text, "utf-8")
        return read_models_toml(path).models[0]

    model = read(0)
    assert model.cpu
    assert model.gpu
    assert (model.cpu.timeout_s, model.gpu.timeout_s) == (cpu_s, gpu_s)
    with pytest.raises(ConfigError) as caught:
        read(1)
    why = () if task in WRITING_TASKS else ("waits 30 s", "models that write")
    assert_problems(
        caught.value.problems,
        ("setting_invalid", "models.a.cpu.timeout_s", f"{cpu_s + 1}", f"from 1 to {cpu_s}", *why),
        ("setting_invalid", "models.a.gpu.timeout_s", f"{gpu_s + 1}", f"from 1 to {gpu_s}", *why),
    )
