"""Models that are added to a models.toml: from folders, files and a hub; and what cannot be added."""

import json
import shutil
from pathlib import Path

import pytest

from contracts.models_toml import read_models_toml
from contracts.specs import SourceOptions
from contracts.tasks import Task
from tests.fixtures.models.tiny_bare import bare
from tests.fixtures.models.tiny_bert import LABELS, encoder
from tests.fixtures.models.tiny_ngrams import LITTLE
from tests.fixtures.models.word_files import TINY, as_text
from tests.fixtures.problems import assert_problems, raises
from tests.turnout.init.added_models import added, assert_planned, nothing

pytestmark = pytest.mark.build


def test_a_folder_is_added_with_rows_of_the_sample_that_a_build_takes(
    bert: Path, tmp_path: Path
) -> None:
    found = added(tmp_path, bert)
    assert (found.name, found.task, found.new, found.sample) == (
        "bert",
        Task.TEXT_CLASSIFICATION,
        True,
        True,
    )
    assert found.rows == tmp_path / "eval/bert.jsonl"
    assert_planned(tmp_path)


def test_fewer_dimensions_that_a_model_was_trained_for_are_written_down(tmp_path: Path) -> None:
    config = encoder(tmp_path / "source") / "config.json"
    document = json.loads(config.read_text("utf-8"))
    # As jina-embeddings-v3 has it: the whole length, of 32 here, is among them.
    config.write_text(json.dumps({**document, "matryoshka_dimensions": [8, 16, 32]}), "utf-8")
    place = tmp_path / "place"
    place.mkdir()
    assert added(place, tmp_path / "source").task is Task.FEATURE_EXTRACTION
    assert read_models_toml(place / "models.toml").models[0].dimensions == (16, 8)
    assert_planned(place)


@pytest.mark.parametrize("listed", [None, True, "8", [8.5], [0], [32], []])
def test_what_lists_no_fewer_dimensions_is_left_out(tmp_path: Path, listed: object) -> None:
    config = encoder(tmp_path / "source") / "config.json"
    document = json.loads(config.read_text("utf-8"))
    config.write_text(json.dumps({**document, "matryoshka_dimensions": listed}), "utf-8")
    added(tmp_path, tmp_path / "source")
    assert "dimensions" not in (tmp_path / "models.toml").read_text("utf-8")


def test_the_models_own_mask_token_is_in_its_rows(masked: Path, tmp_path: Path) -> None:
    found = added(tmp_path, masked)
    assert found.task is Task.FILL_MASK
    rows = [json.loads(line) for line in found.rows.read_text("utf-8").splitlines()]
    assert {row["text"].count("[MASK]") for row in rows} == {1}
    assert_planned(tmp_path)


def test_files_of_words_are_added_with_rows_of_their_own_words(tmp_path: Path) -> None:
    files = {"words.txt": as_text(TINY), "little.arpa": LITTLE.encode()}
    for name, content in files.items():
        place = tmp_path / name.partition(".")[0]
        place.mkdir()
        (tmp_path / name).write_bytes(content)
        assert added(place, tmp_path / name).name == place.name
        assert_planned(place)


def test_a_bare_graph_is_added_with_what_it_lacks_and_refused_without(tmp_path: Path) -> None:
    model, place = bare(tmp_path / "graph"), tmp_path / "place"
    place.mkdir()
    (model / "config.json").unlink()
    graph = model / "model.onnx"
    with raises("task_undecided", "--task text-classification", "--task feature-extraction"):
        added(place, graph)
    with raises("source_unusable", "`labels`"):
        added(place, graph, task=Task.TEXT_CLASSIFICATION)
    assert nothing(place)
    options = SourceOptions(labels=LABELS, tokenizer=model / "tokenizer.json")
    found = added(place, graph, options=options, max_tokens=16)
    assert (found.name, found.task) == ("graph", Task.TEXT_CLASSIFICATION)
    (spec,) = read_models_toml(place / "models.toml").models
    assert spec.cpu is not None
    assert (spec.cpu.max_tokens, spec.source_options.labels) == (16, LABELS)
    assert_planned(place)


def test_the_users_own_rows_are_named_and_checked(bert: Path, tmp_path: Path) -> None:
    place, rows = tmp_path / "place", tmp_path / "rows.jsonl"
    rows.write_text('{"txt": "film"}\n', "utf-8")
    with raises("init_failed", f"{rows}:1", 'no "text"'):
        added(place, bert, rows=rows)
    assert nothing(place)
    rows.write_text('{"text": "film"}\n', "utf-8")
    found = added(place, bert, rows=rows)
    assert (found.rows, found.sample) == (rows, False)
    assert [entry.name for entry in place.iterdir()] == ["models.toml"]


def test_a_model_is_added_once_and_under_another_name_if_that_is_wanted(
    bert: Path, masked: Path, tmp_path: Path
) -> None:
    first = added(tmp_path, bert)
    before = (tmp_path / "models.toml").read_bytes()
    again = added(tmp_path, bert)
    assert (again.name, again.new, again.rows) == (first.name, False, first.rows)
    assert (tmp_path / "models.toml").read_bytes() == before
    assert added(tmp_path, bert, name="other").name == "other"
    shutil.copytree(masked, tmp_path / "elsewhere/bert")
    assert added(tmp_path, tmp_path / "elsewhere/bert").name == "bert-2"
    names = [spec.name for spec in read_models_toml(tmp_path / "models.toml").models]
    assert names == ["bert", "other", "bert-2"]
    assert (tmp_path / "models.toml").read_bytes().startswith(before)


def test_other_rows_in_the_place_of_the_samples_are_not_overwritten(
    bert: Path, tmp_path: Path
) -> None:
    rows = tmp_path / "eval/bert.jsonl"
    rows.parent.mkdir()
    rows.write_text('{"text": "mine"}\n', "utf-8")
    with raises("init_failed", rows, "--eval"):
        added(tmp_path, bert)
    assert rows.read_text("utf-8") == '{"text": "mine"}\n'
    assert not (tmp_path / "models.toml").exists()


def test_no_rows_are_left_where_the_table_cannot_be_added(bert: Path, tmp_path: Path) -> None:
    inline = 'models = { other = { source = "x", task = "fill-mask", eval = "y", cpu = {} } }\n'
    (tmp_path / "models.toml").write_text(inline, "utf-8")
    with raises("config_invalid", "[models.NAME]"):
        added(tmp_path, bert)
    assert (tmp_path / "models.toml").read_text("utf-8") == inline
    assert list((tmp_path / "eval").iterdir()) == []


def test_every_problem_of_what_is_given_is_reported_at_once(tmp_path: Path) -> None:
    with raises("init_failed") as caught:
        added(tmp_path, "https://host/model", name="A b", rows=tmp_path / "none.jsonl")
    assert_problems(
        caught.value.problems,  # type: ignore[attr-defined]
        ("setting_invalid", "SOURCE", "hf://org/name@revision"),
        ("setting_invalid", "--name", "lower-case"),
        ("rows_missing", "--eval", "none.jsonl"),
    )


@pytest.mark.parametrize(
    ("name", "content", "things"),
    [
        ("nowhere", None, ["not a folder"]),
        ("weights.safetensors", b"", ["weights alone"]),
        ("model.h5", b"", ["Keras"]),
        ("pytorch_model.bin", b"\x80\x04 a pickle", ["a pickle"]),
        ("words.vec", b"no numbers here\n", ["word2vec"]),
        ("empty/notes.md", b"# nothing\n", ["looked for"]),
        (
            "lora/adapter_config.json",
            b'{"base_model_name_or_path": "org/base"}',
            ["adapter", "org/base"],
        ),
    ],
)
def test_what_is_no_model_is_refused_by_what_it_is(
    tmp_path: Path, name: str, content: bytes | None, things: list[str]
) -> None:
    place, path = tmp_path / "place", tmp_path / name
    if content is not None:
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content)
    source = path.parent if "/" in name else path
    with raises("source_unusable", source, *things):
        added(place, source)
    assert nothing(place)
