"""Weights in a pickle: read where the user allows it, never run."""

import functools
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from build import api
from build.errors import SourceError
from build.proof.replay import max_difference
from build.sources.huggingface.weights import unpickled
from build.sources.readers import inspect
from build.sources.source import TransformersSource
from contracts.manifest import verify
from contracts.models_toml import read_models_toml
from contracts.prediction import PredictRequest
from contracts.specs import SourceOptions
from contracts.tasks import Task
from tests.fixtures.models.sources import assert_refused, read_as
from tests.fixtures.models.tiny_bert import CPU, classifier, deployment, encoder, texts, write_rows
from tests.fixtures.problems import assert_problems
from tests.fixtures.transformers_pipelines import answers

pytestmark = pytest.mark.build

CLASSES = Task.TEXT_CLASSIFICATION
ALLOWED = SourceOptions(allow_pickle=True)
REQUEST = PredictRequest(inputs=tuple(texts(8)))


def assert_same(one: TransformersSource, other: TransformersSource) -> None:
    """Check that two folders have the same answers but for rounding, which depends on where weights lie in memory."""
    far, equal = max_difference(answers(one, [REQUEST]), answers(other, [REQUEST]))
    assert equal
    assert far < 1e-6


@pytest.fixture(scope="module")
def safe(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return classifier(tmp_path_factory.mktemp("safe") / "source")


@pytest.fixture
def folder(safe: Path, tmp_path: Path) -> Path:
    """Return the same model with its weights pickled, as transformers did it for years."""
    import torch
    from safetensors.torch import load_file

    folder = shutil.copytree(safe, tmp_path / "source")
    torch.save(load_file(folder / "model.safetensors"), folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()
    return folder


def read(folder: Path) -> TransformersSource:
    return read_as(TransformersSource, folder, CLASSES, None, ALLOWED)


@functools.cache
def shared(torch: Any) -> Any:
    """Return one tensor of 4 MB, for many names."""
    return torch.zeros(1 << 20)


class Malicious:
    """Writes a file when it is unpickled."""

    def __init__(self, victim: Path) -> None:
        self.victim = victim

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (f"touch {self.victim}",)


def test_without_permission_a_pickle_is_refused_and_the_key_is_named(folder: Path) -> None:
    allowed = "`pickle = true` in the model's table"
    assert_refused(folder, ("pickle_refused", "no model.safetensors", allowed))


def test_permission_is_given_in_the_model_s_table(tmp_path: Path) -> None:
    file = tmp_path / "models.toml"
    table = '[models.old]\nsource = "m"\ntask = "text-classification"\neval = "e"\ncpu = {}\n'
    file.write_text(table, "utf-8")
    assert read_models_toml(file).models[0].source_options == SourceOptions()
    file.write_text(table + "pickle = true\n", "utf-8")
    assert read_models_toml(file).models[0].source_options == ALLOWED


def test_pickled_weights_are_built_from_and_answer_like_the_safe_ones(
    safe: Path, folder: Path, tmp_path: Path
) -> None:
    rows = write_rows(tmp_path / "rows.jsonl", [{"text": text} for text in texts(24)])
    wanted = deployment(folder, rows, cpu=CPU, source_options=ALLOWED)
    api.run(api.plan(wanted, tmp_path / "out"), tmp_path / "out", timed=False)
    for tier in ("cpu", "gpu"):
        assert verify(tmp_path / "out/tiny" / tier).source_digest == read(folder).digest
    assert sorted(path.name for path in folder.glob("*.safetensors")) == []
    kept = unpickled(read(folder), tmp_path / "kept")
    reference = read_as(TransformersSource, safe, CLASSES)
    assert_same(kept, reference)


def test_shards_are_read_too(safe: Path, folder: Path, tmp_path: Path) -> None:
    import torch

    weights = torch.load(folder / "pytorch_model.bin", weights_only=True)
    names = [f"pytorch_model-0000{i}-of-00002.bin" for i in (1, 2)]
    where = {key: names[number % 2] for number, key in enumerate(weights)}
    for name in names:
        torch.save({k: v for k, v in weights.items() if where[k] == name}, folder / name)
    (folder / "pytorch_model.bin").unlink()
    index = {"metadata": {}, "weight_map": where}
    (folder / "pytorch_model.bin.index.json").write_text(json.dumps(index), "utf-8")
    kept = unpickled(read(folder), tmp_path / "kept")
    reference = read_as(TransformersSource, safe, CLASSES)
    assert_same(kept, reference)


def test_a_pickle_that_would_run_something_is_refused_and_not_run(
    folder: Path, tmp_path: Path
) -> None:
    import torch

    victim = tmp_path / "victim"
    torch.save({"weight": Malicious(victim)}, folder / "pytorch_model.bin")
    with pytest.raises(SourceError) as caught:
        unpickled(read(folder), tmp_path / "kept")
    path = folder / "pytorch_model.bin"
    assert_problems(caught.value.problems, ("pickle_refused", path, ".system, which is not run"))
    assert not victim.exists()


def test_a_build_that_meets_such_a_pickle_leaves_nothing(folder: Path, tmp_path: Path) -> None:
    import torch

    victim, out = tmp_path / "victim", tmp_path / "out"
    torch.save({"weight": Malicious(victim)}, folder / "pytorch_model.bin")
    rows = write_rows(tmp_path / "rows.jsonl", [{"text": text} for text in texts(4)])
    steps = api.plan(deployment(folder, rows, cpu=CPU, source_options=ALLOWED), out)
    with pytest.raises(SourceError) as caught:
        api.run(steps, out)
    path = folder / "pytorch_model.bin"
    assert_problems(caught.value.problems, ("pickle_refused", path, "which is not run"))
    assert not victim.exists()
    assert not (out / "tiny").exists()


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ([1, 2], "holds more than weights by name"),
        ({"state_dict": {"weight": 1}}, "holds more than weights by name"),
        (None, "cannot be read"),
    ],
    ids=["a list", "a checkpoint", "no pickle"],
)
def test_what_holds_no_weights_is_named(
    folder: Path, tmp_path: Path, content: Any, problem: str
) -> None:
    import torch

    if content is None:
        (folder / "pytorch_model.bin").write_bytes(b"\x80\x02 not one")
    else:
        torch.save(content, folder / "pytorch_model.bin")
    with pytest.raises(SourceError) as caught:
        unpickled(read(folder), tmp_path / "kept")
    path = folder / "pytorch_model.bin"
    assert_problems(caught.value.problems, ("pickle_refused", path, problem))


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (lambda torch: {3: torch.ones(2)}, "holds more than weights by name, such as 3"),
        (lambda torch: {"w": torch.ones(2).to_sparse()}, "w is sparse or nested"),
        (lambda torch: {"w": torch.quantize_per_tensor(torch.ones(2), 1, 0, torch.qint8)}, "w is quantized"),
        (lambda torch: {"w": torch.ones(1).expand(10**11)}, "w says that it has 100000000000 numbers"),
        (lambda torch: {"w": torch.ones(2, dtype=torch.complex64)}, "w has complex numbers"),
        (lambda torch: {str(i): shared(torch) for i in range(600)}, "its weights come to 2516582400 bytes, where "),
    ],
    ids=["numbers as names", "sparse", "quantized", "expanded", "complex", "shared a lot"],
)  # fmt: skip
@pytest.mark.filterwarnings("ignore")  # torch warns of what it makes of some of these
def test_tensors_that_are_not_plain_are_refused_before_they_are_copied(
    folder: Path, tmp_path: Path, content: Callable[[Any], Any], problem: str
) -> None:
    import torch

    torch.save(content(torch), folder / "pytorch_model.bin")
    with pytest.raises(SourceError) as caught:
        unpickled(read(folder), tmp_path / "kept")
    path, advice = folder / "pytorch_model.bin", "save the model as safetensors"
    assert_problems(caught.value.problems, ("pickle_refused", path, problem, advice))


@pytest.mark.parametrize("content", [b"\x80\x02 not one", b"\x80\x02]\x8e.", b"PK\x03\x04 no", b""])
def test_no_message_advises_to_load_a_pickle(folder: Path, tmp_path: Path, content: bytes) -> None:
    (folder / "pytorch_model.bin").write_bytes(content)
    with pytest.raises(SourceError) as caught:
        unpickled(read(folder), tmp_path / "kept")
    path = folder / "pytorch_model.bin"
    assert_problems(caught.value.problems, ("pickle_refused", path, "cannot be read"))
    assert "weights_only" not in str(caught.value)


def test_other_weights_in_a_pickle_are_another_source(folder: Path) -> None:
    before = read(folder)
    path = folder / "pytorch_model.bin"
    path.write_bytes(path.read_bytes() + b"\0")
    assert read(folder).digest != before.digest
    assert (before.pickled, before.weight_bytes) == (True, path.stat().st_size - 1)


def test_tied_weights_and_layers_over_the_vector_are_saved_apart(tmp_path: Path) -> None:
    import torch
    from safetensors.torch import load_file

    folder = encoder(tmp_path / "source")
    weights = load_file(folder / "model.safetensors")
    table = weights["embeddings.word_embeddings.weight"]
    torch.save({**weights, "tied.weight": table}, folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()
    (folder / "2_Dense").mkdir()
    torch.save({"linear.weight": torch.ones(3, 32)}, folder / "2_Dense/pytorch_model.bin")
    source = read_as(TransformersSource, folder, Task.FEATURE_EXTRACTION, None, ALLOWED)
    kept = unpickled(source, tmp_path / "kept")
    found = load_file(kept.folder / "model.safetensors")
    assert torch.equal(found["tied.weight"], table)
    assert load_file(kept.folder / "2_Dense/model.safetensors")["linear.weight"].shape == (3, 32)
    assert (kept.folder / "1_Pooling/config.json").is_file()


def test_a_pickle_in_a_layer_alone_is_a_pickle(tmp_path: Path) -> None:
    import torch
    from safetensors.torch import load_file

    folder = encoder(tmp_path / "source")
    modules = json.loads((folder / "modules.json").read_text("utf-8"))
    dense = {"name": "dense", "path": "2_Dense", "type": "sentence_transformers.models.Dense"}
    modules.insert(2, dense)
    (folder / "modules.json").write_text(json.dumps(modules), "utf-8")
    (folder / "2_Dense").mkdir()
    torch.save({"linear.weight": torch.ones(3, 32)}, folder / "2_Dense/pytorch_model.bin")
    config = {"in_features": 32, "out_features": 3, "bias": False}
    (folder / "2_Dense/config.json").write_text(json.dumps(config), "utf-8")
    # What lies beside safe weights is never read.
    torch.save({"weight": Malicious(tmp_path / "victim")}, folder / "pytorch_model.bin")
    _, problems = inspect(folder, Task.FEATURE_EXTRACTION, None)
    weightless = ("pickle_refused", f"{folder}: 2_Dense", "no model.safetensors")
    assert_problems(problems[:1], weightless)
    source = read_as(TransformersSource, folder, Task.FEATURE_EXTRACTION, None, ALLOWED)
    assert source.pickled
    kept = unpickled(source, tmp_path / "kept")
    weights = [load_file(f / "model.safetensors") for f in (folder, kept.folder)]
    assert weights[0].keys() == weights[1].keys()
    assert len(answers(kept, [REQUEST])[0][0]["embedding"]) == 3
    assert not (tmp_path / "victim").exists()
