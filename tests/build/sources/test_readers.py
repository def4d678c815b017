"""Sources and rows that cannot be used: each problem is named with its place and what to do, all at once."""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from build import api
from build.errors import SourceError
from build.sources.readers import inspect
from build.sources.source import Pooling, TransformersSource, digest_of
from build.workspace.build_memory import (
    memory_problem,
    room_for_all,
    room_for_both,
)
from contracts.specs import CpuSpec, ModelSpec
from contracts.tasks import Task
from tests.fixtures.models.sources import assert_refused, read_as
from tests.fixtures.models.tiny_bert import LABELS, classifier, deployment, encoder, write_rows
from tests.fixtures.problems import assert_problems

pytestmark = pytest.mark.build

Spoil = Callable[[Path], object]


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> dict[Task, Path]:
    folder = tmp_path_factory.mktemp("sources")
    return {
        Task.TEXT_CLASSIFICATION: classifier(folder / "classifier"),
        Task.FEATURE_EXTRACTION: encoder(folder / "encoder"),
    }


def change(name: str, **values: object) -> Spoil:
    """Set keys of one of the folder's JSON files."""

    def spoil(folder: Path) -> None:
        document = json.loads((folder / name).read_text("utf-8"))
        (folder / name).write_text(json.dumps({**document, **values}), "utf-8")

    return spoil


def renamed(key: str, other: str, value: object) -> Spoil:
    """Write a value under another key of config.json in place of one."""

    def spoil(folder: Path) -> None:
        document = json.loads((folder / "config.json").read_text("utf-8"))
        del document[key]
        (folder / "config.json").write_text(json.dumps({**document, other: value}), "utf-8")

    return spoil


def cut(name: str, keep: int) -> Spoil:
    """Keep that many bytes of a file."""
    return lambda folder: (folder / name).write_bytes((folder / name).read_bytes()[:keep])


def removed(*names: str) -> Spoil:

    def spoil(folder: Path) -> None:
        for name in names:
            (folder / name).unlink()

    return spoil


def pickled(folder: Path) -> None:
    """Change the folder to what older tools saved: weights that would run code when loaded."""
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")


def indexed(places: object) -> Spoil:
    """Return a change to weights in shards, listed by an index with this map."""

    def spoil(folder: Path) -> None:
        (folder / "model.safetensors").rename(folder / "model-1.safetensors")
        (folder / INDEX).write_text(json.dumps({"weight_map": places}), "utf-8")

    return spoil


INDEX = "model.safetensors.index.json"
CLASSES, VECTORS = Task.TEXT_CLASSIFICATION, Task.FEATURE_EXTRACTION
POOLING = "1_Pooling/config.json"
NAMES = ("labels_missing", "no complete `id2label`", "name every label once, from 0 up")
TWICE = {"0": "a", "1": "a", "2": "b"}


@pytest.mark.parametrize(
    ("task", "spoil", "problem"),
    [
        (CLASSES, shutil.rmtree, ("file_missing", "put a Hugging Face model there", "`source`")),
        (CLASSES, removed("config.json"), ("file_missing", "config.json", "`save_pretrained`")),
        (CLASSES, removed("tokenizer.json"), ("file_missing", "tokenizer.json", "a fast tokenizer")),
        (CLASSES, pickled, ("pickle_refused", "no model.safetensors", "`pickle = true`")),
        (CLASSES, cut("model.safetensors", 0), ("file_damaged", "model.safetensors", "copy it again")),
        (CLASSES, cut("model.safetensors", 4), ("file_damaged", "model.safetensors", "copy it again")),
        (CLASSES, cut("model.safetensors", 200), ("file_damaged", "model.safetensors", "copy it again")),
        (CLASSES, cut("model.safetensors", 50_000), ("file_damaged", "50000 bytes", "87004")),
        (CLASSES, cut("config.json", 20), ("file_damaged", "config.json cannot be read")),
        (CLASSES, change("config.json", architectures=["BertModel"]), ("task_unsupported", "BertModel", "`task`")),
        (CLASSES, change("config.json", id2label={}), NAMES),
        (CLASSES, change("config.json", id2label=["a", "b", "c"]), NAMES),
        (CLASSES, change("config.json", id2label=TWICE), NAMES),
        (CLASSES, change("config.json", hidden_size="abc"), ("file_damaged", "'abc'", "`hidden_size`", "at least 0")),
        (CLASSES, change("config.json", vocab_size="forty"), ("file_damaged", "'forty'", "`vocab_size`", "at least 0")),
        (CLASSES, change("config.json", pad_token_id="x"), ("file_damaged", "'x'", "`pad_token_id`")),
        (CLASSES, change("config.json", max_position_embeddings="32"), ("file_damaged", "'32'", "`max_position")),
        (CLASSES, change("config.json", num_attention_heads=-4), ("file_damaged", "-4", "`num_attention_heads`")),
        (CLASSES, change("config.json", architectures=3), ("file_damaged", "config.json", "`architectures`")),
        (CLASSES, change("tokenizer_config.json", model_max_length="x"), ("file_damaged", "'x'", "`model_max")),
        (CLASSES, change("tokenizer.json", model={"vocab": {"a": "x"}}), ("file_damaged", "'x' as the id of 'a'")),
        (CLASSES, change("tokenizer.json", model={"vocab": [1]}), ("file_damaged", "tokenizer.json", "vocabulary")),
        (CLASSES, indexed([]), ("file_damaged", INDEX, "`weight_map`")),
        (CLASSES, indexed("model.safetensors"), ("file_damaged", INDEX, "`weight_map`")),
        (CLASSES, indexed({"weight": ["a"]}), ("file_outside", INDEX, "['a']")),
        (CLASSES, change("config.json", vocab_size=30), ("tokenizer_mismatch", "up to 39", "30 rows")),
        (CLASSES, change("config.json", vocab_size=50), ("tokenizer_mismatch", "up to 39", "50 rows")),
        (CLASSES, renamed("vocab_size", "n_words", 30), ("tokenizer_mismatch", "up to 39", "30 rows")),
        (VECTORS, removed("modules.json"), ("pooling_unsupported", "modules.json", "sentence-transformers")),
        (VECTORS, change(POOLING, pooling_mode="median"), ("pooling_unsupported", "median", "cls, max, mean")),
        (VECTORS, cut("modules.json", 30), ("file_damaged", "modules.json cannot be read")),
    ],
)  # fmt: skip
def test_an_unusable_source_is_named_with_what_to_do(
    sources: dict[Task, Path], tmp_path: Path, task: Task, spoil: Spoil, problem: tuple[str, ...]
) -> None:
    folder = shutil.copytree(sources[task], tmp_path / "source")
    spoil(folder)
    assert_refused(folder, problem, task=task)


def test_every_value_of_a_config_that_is_no_number_is_reported_at_once(
    sources: dict[Task, Path], tmp_path: Path
) -> None:
    folder = shutil.copytree(sources[CLASSES], tmp_path / "source")
    change("config.json", hidden_size="abc", pad_token_id="x", vocab_size=None)(folder)
    assert_problems(
        inspect(folder, CLASSES, None)[1],
        ("file_damaged", folder, "config.json", "'abc'", "`hidden_size`", "at least 0"),
        ("file_damaged", folder, "config.json", "null", "`vocab_size`", "at least 0"),
        ("file_damaged", folder, "config.json", "'x'", "`pad_token_id`", "save the model again"),
    )


def test_an_unforeseen_error_of_a_reader_is_a_problem_as_well(
    sources: dict[Task, Path], tmp_path: Path
) -> None:
    folder = shutil.copytree(sources[VECTORS], tmp_path / "source")
    change(POOLING, pooling_mode=[["mean"]])(folder)
    unforeseen = "TypeError: unhashable type: 'list'"
    assert_problems(
        inspect(folder, VECTORS, None)[1],
        ("file_damaged", folder, "a Hugging Face folder", unforeseen, "save it again"),
    )
    long = tmp_path / ("x" * 300)
    (problem,) = inspect(long, CLASSES, None)[1]
    assert problem.where == str(long)


def test_more_weights_than_the_machine_has_memory_for_are_planned_and_not_built(
    sources: dict[Task, Path], tmp_path: Path
) -> None:
    rows = write_rows(tmp_path / "rows.jsonl", [{"text": "a good film"}])
    (step,) = api.plan(deployment(sources[CLASSES], rows, gpu=None), tmp_path / "out")
    assert 10_000 < step.source.weights < 30_000
    steps = (replace(step, source=replace(step.source, weights=10**11)),)
    with pytest.raises(SourceError) as caught:
        api.run(steps, tmp_path / "out")
    assert_problems(
        caught.value.problems,
        ("memory_short", steps[0].name, "100.00 billion weights", "some 1201 GB"),
    )
    assert not (tmp_path / "out").exists()
    assert memory_problem(600_000_000, 9 * 10**9) == ""
    assert "this machine has 8 GB" in memory_problem(600_000_000, 8 * 10**9)
    # 24 GiB hold a decoder of 1.5 billion parameters and more, 16 GiB an encoder of 1.1 billion.
    assert memory_problem(1_600_000_000, 24 * 2**30) == ""
    assert memory_problem(1_100_000_000, 16 * 2**30) == ""


def test_candidates_are_loaded_side_by_side_where_twice_their_bytes_fit() -> None:
    assert room_for_all([10**9, 2 * 10**9], memory=7 * 10**9)
    assert not room_for_all([10**9, 2 * 10**9], memory=7 * 10**9 - 1)


def test_two_steps_share_the_machine_where_both_fit_at_their_peaks() -> None:
    assert room_for_both(100_000_000, memory=4 * 10**9)
    assert not room_for_both(100_000_000, memory=3 * 10**9)
    assert not room_for_both(0, memory=5 * 10**9)  # not counted


def test_a_layer_that_is_not_known_is_named(sources: dict[Task, Path], tmp_path: Path) -> None:
    folder = shutil.copytree(sources[Task.FEATURE_EXTRACTION], tmp_path / "source")
    modules = json.loads((folder / "modules.json").read_text("utf-8"))
    modules.insert(
        2, {"idx": 2, "name": "2", "path": "2_LSTM", "type": "sentence_transformers.models.LSTM"}
    )
    (folder / "modules.json").write_text(json.dumps(modules), "utf-8")
    layers = "Transformer, Pooling, LSTM, Normalize"
    problem = ("pooling_unsupported", "modules.json", layers, "any Dense")
    assert_refused(folder, problem, task=Task.FEATURE_EXTRACTION)


def test_every_fact_of_a_usable_source_is_read(sources: dict[Task, Path]) -> None:
    classes, embed = Task.TEXT_CLASSIFICATION, Task.FEATURE_EXTRACTION
    source = read_as(TransformersSource, sources[classes], classes)
    assert (source.labels, source.max_tokens, source.heads, source.hidden) == (LABELS, 32, 4, 32)
    vectors = read_as(TransformersSource, sources[embed], embed, 16)
    assert (vectors.pooling, vectors.labels, vectors.max_tokens) == (
        Pooling(modes="mean", normalize=True),
        (),
        16,
    )


def test_more_tokens_than_the_model_reads_are_refused(sources: dict[Task, Path]) -> None:
    folder = sources[Task.TEXT_CLASSIFICATION]
    problem = ("length_invalid", "32 tokens at most", "max_tokens is 64", "lower it")
    assert_refused(folder, problem, max_tokens=64)


def test_the_digest_of_a_source_covers_its_files_and_their_names(
    sources: dict[Task, Path], tmp_path: Path
) -> None:
    folder = shutil.copytree(sources[Task.TEXT_CLASSIFICATION], tmp_path / "source")
    first = digest_of(folder)
    (folder / "README.md").write_text("not a part of the model", "utf-8")
    assert digest_of(folder) == first
    (folder / "vocab.txt").rename(folder / "words.txt")
    assert digest_of(folder) != first


def test_every_problem_of_every_model_is_reported_at_once_and_nothing_is_written(
    sources: dict[Task, Path], tmp_path: Path
) -> None:
    rows = write_rows(tmp_path / "eval.jsonl", [{"text": "a film", "label": "great"}])
    good = deployment(sources[Task.TEXT_CLASSIFICATION], rows).models[0]
    missing = ModelSpec(
        name="other",
        source=tmp_path / "nowhere",
        task=Task.TEXT_CLASSIFICATION,
        eval=tmp_path / "no.jsonl",
        cpu=CpuSpec(),
    )
    both = type(deployment(sources[Task.TEXT_CLASSIFICATION], rows))(models=(good, missing))
    with pytest.raises(SourceError) as caught:
        api.plan(both, tmp_path / "models.out", ["tiny", "other", "third"])
    assert_problems(
        caught.value.problems,
        ("model_unknown", "", "third", "it has tiny, other"),
        ("labels_mismatch", f"tiny: {rows}:1", "'great'", "bad, good, so-so"),
        ("file_missing", f"other: {tmp_path}/nowhere", "correct `source`"),
        ("rows_missing", f"other: {tmp_path}/no.jsonl", "under `eval`"),
    )
    assert not (tmp_path / "models.out").exists()
