"""The runtime of a model: asked for in `models.toml`, and named in its manifest."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from contracts.manifest import RUNTIME, Manifest
from contracts.models_toml import ConfigError, read_models_toml
from contracts.tasks import Runtime, Task, Tier
from tests.fixtures.problems import assert_problems

MODEL = 'source = "m"\ntask = "{task}"\neval = "rows.jsonl"\n{rest}\n'


def read(folder: Path, rest: str, task: str = "text-classification") -> Runtime:
    path = folder / "models.toml"
    path.write_text(f"[models.m]\n{MODEL.format(task=task, rest=rest)}", "utf-8")
    (model,) = read_models_toml(path).models
    assert model.cpu
    return model.cpu.runtime


@pytest.mark.parametrize(
    ("rest", "runtime"),
    [
        ("cpu = {}", Runtime.AUTO),
        *((f'cpu = {{ runtime = "{each}" }}', each) for each in Runtime),
        ('edge = true\ncpu = { runtime = "onnxruntime" }', Runtime.ONNX_RUNTIME),
    ],
)
def test_it_is_the_builds_own_choice_unless_it_is_named(
    rest: str, runtime: Runtime, tmp_path: Path
) -> None:
    assert read(tmp_path, rest) is runtime


@pytest.mark.parametrize(
    ("rest", "task", "words"),
    [
        ('cpu = { runtime = "tvm" }', "fill-mask", ("'tvm'", '"auto", "onnxruntime", "openvino"')),
        (
            'cpu = { runtime = "openvino" }',
            "word-vectors",
            ("OpenVINO runs no word-vectors here", 'write runtime = "onnxruntime"'),
        ),
        (
            'edge = true\ncpu = { runtime = "openvino" }',
            "fill-mask",
            ("an edge copy has ONNX Runtime", "or remove it"),
        ),
    ],
)
def test_what_openvino_cannot_serve_is_refused(
    rest: str, task: str, words: tuple[str, ...], tmp_path: Path
) -> None:
    with pytest.raises(ConfigError) as caught:
        read(tmp_path, rest, task)
    assert_problems(caught.value.problems, ("setting_invalid", "models.m.cpu.runtime", *words))


def test_a_manifest_that_names_none_has_onnx_runtime() -> None:
    manifest = Manifest(
        model="m",
        task=Task.FILL_MASK,
        tier=Tier.CPU,
        precision="int8",
        recipe="int8",
        max_tokens=8,
        toolchain={},
    )
    assert manifest.runtime == Runtime.ONNX_RUNTIME
    # Sealed as before there was another: the digest of what is deployed stays.
    assert RUNTIME not in json.loads(manifest.to_json())
    other = replace(manifest, details={RUNTIME: Runtime.OPENVINO.value}).sealed()
    assert Manifest.from_json(other.to_json()).runtime == Runtime.OPENVINO


@pytest.mark.parametrize(
    ("runtime", "name"),
    [
        (Runtime.ONNX_RUNTIME, "ONNX Runtime"),
        (Runtime.OPENVINO, "OpenVINO"),
        (Runtime.AUTO, "auto"),
    ],
)
def test_its_name_is_spelt_as_by_its_authors(runtime: Runtime, name: str) -> None:
    assert runtime.spelt == name
