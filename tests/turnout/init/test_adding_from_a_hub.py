"""Models on a hub that are added to a models.toml: by their settings, before any weights are downloaded."""

import json
import os
import shutil
from pathlib import Path

import pytest

from build.samples.texts import sample_texts
from contracts.tasks import Task
from tests.fixtures.models.hub import COMMIT, hub
from tests.fixtures.models.word_files import TINY, as_text
from tests.fixtures.problems import raises
from tests.turnout.init.added_models import added, assert_planned, nothing

pytestmark = pytest.mark.build

DESCRIBING = {"config.json", "tokenizer.json", "tokenizer_config.json"}


def test_a_repository_is_described_by_its_settings_and_pinned_to_its_commit(
    masked: Path, tmp_path: Path
) -> None:
    requested: list[str] = []
    with hub(masked, requested) as environment:
        found = added(tmp_path, "hf://org/bert@main", environment)
    assert (found.source, found.task) == (f"hf://org/bert@{COMMIT}", Task.FILL_MASK)
    text = (tmp_path / "models.toml").read_text("utf-8")
    assert f'source = "hf://org/bert@{COMMIT}"  # main\n' in text
    assert "[MASK]" in found.rows.read_text("utf-8")
    files = {path.rsplit("/", 1)[1] for path in requested if "/resolve/" in path}
    assert DESCRIBING <= files
    assert {name for name in files if not name.endswith((".json", ".md"))} == set()
    assert not (tmp_path / "out").exists()


def test_rows_are_of_the_languages_that_the_models_card_names(bert: Path, tmp_path: Path) -> None:
    shutil.copytree(bert, tmp_path / "english")
    (tmp_path / "english/README.md").write_text("---\nlanguage: en\n---\n", "utf-8")
    with hub(tmp_path / "english", []) as environment:
        found = added(tmp_path / "place", "hf://org/bert", environment)
    written = [json.loads(line)["text"] for line in found.rows.read_text("utf-8").splitlines()]
    assert written == [each.text for each in sample_texts() if each.language == "en"]


@pytest.mark.parametrize(
    ("tag", "task"),
    [("", ""), ("zero-shot-classification", "zero-shot-classification")],
)
def test_the_hubs_tag_decides_between_tasks_that_fit(
    inference: Path, tmp_path: Path, tag: str, task: str
) -> None:
    with hub(inference, [], tag) as environment:
        if not tag:
            with raises("task_undecided", "--task zero-shot-classification"):
                added(tmp_path, "hf://org/bert", environment)
            assert nothing(tmp_path)
            task = "text-classification"
        wanted = None if tag else Task(task)
        found = added(tmp_path, "hf://org/bert", environment, task=wanted)
    assert found.task == task
    (row, *_) = map(json.loads, found.rows.read_text("utf-8").splitlines())
    assert ("candidate_labels" in row, "text_pair" in row) == (bool(tag), not tag)


def test_repositories_that_cannot_be_built_are_refused_before_any_weights_are_downloaded(
    bert: Path, tmp_path: Path
) -> None:
    place, requested = tmp_path / "place", list[str]()
    cases: list[tuple[dict[str, bytes | None], tuple[str, ...]]] = [
        (
            {"model.safetensors": None, "pytorch_model.bin": b"\x80"},
            ("pickle_refused", "--pickle"),
        ),
        (
            {"model.safetensors": None, "config.json": None, "a.Q4.gguf": b"", "b.gguf": b""},
            ("format_ambiguous", "hf://org/bert/a.Q4.gguf"),
        ),
        (
            {"config.json": None, "adapter_config.json": b"{}", "adapter_model.safetensors": b""},
            ("adapter", "merge"),
        ),
        (
            {
                "config.json": b'{"architectures": ["ViTForImageClassification"], "model_type": "vit"}'
            },
            ("architecture_unsupported", "images"),
        ),
        ({"tokenizer.json": None}, ("file_missing", "no tokenizer.json")),
    ]
    for number, (files, things) in enumerate(cases):
        folder = tmp_path / str(number)
        shutil.copytree(bert, folder)
        for name, content in files.items():
            if content is None:
                (folder / name).unlink()
            else:
                (folder / name).write_bytes(content)
        with hub(folder, requested) as environment, raises("source_unusable", *things):
            added(place, "hf://org/bert", environment)
    assert [path for path in requested if path.endswith((".bin", ".safetensors", ".gguf"))] == []
    assert nothing(place)


def test_a_file_of_a_hub_is_read_only_where_a_build_follows(tmp_path: Path) -> None:
    (tmp_path / "repository").mkdir()
    (tmp_path / "repository/words.vec").write_bytes(as_text(TINY))
    place = tmp_path / "place"
    with hub(tmp_path / "repository", []) as environment:
        with raises("init_failed", "no weights are downloaded", "--build"):
            added(place, "hf://org/bert/words.vec", environment)
        assert nothing(place)
        found = added(place, "hf://org/bert/words.vec", environment, build=True)
    assert (found.name, found.task) == ("words", Task.WORD_VECTORS)
    assert found.source == f"hf://org/bert/words.vec@{COMMIT}"
    assert_planned(place)


def test_a_gguf_file_of_a_hub_is_added_by_its_name(tmp_path: Path) -> None:
    (tmp_path / "repository").mkdir()
    (tmp_path / "repository/tiny.Q4_1.gguf").write_bytes(b"GGUF")
    requested: list[str] = []
    with hub(tmp_path / "repository", requested) as environment:
        found = added(tmp_path / "place", "hf://org/bert/tiny.Q4_1.gguf", environment)
        with raises("source_unusable", "fetch_failed", "there is no other.gguf"):
            added(tmp_path / "place", "hf://org/bert/other.gguf", environment)
    assert (found.name, found.task) == ("tiny-q4-1", Task.TEXT_GENERATION)
    assert [path for path in requested if "/resolve/" in path] == []


def test_a_hub_that_cannot_be_reached_is_named_with_the_next_step(tmp_path: Path) -> None:
    nowhere = {**os.environ, "HF_ENDPOINT": "http://127.0.0.1:9"}
    with raises("source_unusable", "hf://org/bert", "fetch_failed", "put the model into a folder"):
        added(tmp_path, "hf://org/bert", nowhere)
    with raises("source_unusable", "hf://org", "write hf://org/name@revision"):
        added(tmp_path, "hf://org", nowhere)
    assert nothing(tmp_path)
