"""A folder is checked by the table of settings before anything is exported, and the table says who reads what."""

import importlib
import inspect
import json
from pathlib import Path
from typing import Any

import pytest

from build.sources.huggingface.code_settings import RULES
from build.sources.huggingface.settings import check
from build.sources.huggingface.settings.page import page
from build.sources.huggingface.settings.setting import GRAPH, Effect, Setting
from build.sources.huggingface.settings.table import (
    CONFIG,
    DENSE,
    GENERATION,
    LOGIT_SCORE,
    MODULES,
    NORMALIZE,
    POOLING,
    TABLE,
    WHOLE_MODEL,
    settings_of,
)
from build.tasks.description import FamilyName
from build.tasks.registry import TASKS
from contracts.problems import Code
from contracts.tasks import Task

ROOT = Path(__file__).parents[4]
PLACES = {
    POOLING: "1_Pooling",
    DENSE: "2_Dense",
    NORMALIZE: "2_Normalize",
    LOGIT_SCORE: "1_LogitScore",
}


@pytest.mark.parametrize("file", TABLE)
def test_no_setting_is_listed_twice(file: str) -> None:
    assert len(settings_of(file)) == len(TABLE[file])


@pytest.mark.parametrize("file", TABLE)
def test_a_setting_that_runs_code_is_refused_in_one_place(file: str) -> None:
    refused = {one.key for one in TABLE[file] if one.effect is Effect.REFUSED}
    assert not refused & RULES.keys()


def readers() -> list[tuple[str, str, str]]:
    return [
        (file, setting.key, setting.read_by)
        for file, settings in TABLE.items()
        for setting in settings
        if setting.effect is Effect.HONOURED and setting.read_by != GRAPH
    ]


@pytest.mark.parametrize("read_by", sorted({reader for _, _, reader in readers()}))
def test_what_reads_an_honoured_setting_is_there_and_names_it(read_by: str) -> None:
    module, function = read_by.rsplit(".", 1)
    place = "build" if module.startswith("tasks.") else "build.sources.huggingface"
    code = importlib.import_module(f"{place}.{module}")
    assert callable(getattr(code, function))
    text = inspect.getsource(code)
    if read_by == "tokenizer.read_tokenizer_of":
        return  # which hands the whole file on
    named = [key for _, key, reader in readers() if reader == read_by]
    aside = {"problem_type", "vocab_size", "model_type", "is_encoder_decoder", "normalizer"}
    assert [key for key in named if f'"{key}"' not in text and key not in aside] == []


def folder_with(folder: Path, file: str, **settings: Any) -> Path:
    """Return a folder of which only the settings are of interest: a module's config lies where modules.json says."""
    place = folder / file
    place.parent.mkdir(parents=True, exist_ok=True)
    document: Any = [settings] if file == MODULES else settings
    if file in PLACES:
        kind = PLACES[file].split("_")[1]
        modules = [
            {
                "idx": 0,
                "name": "0",
                "path": PLACES[file],
                "type": f"sentence_transformers.models.{kind}",
            }
        ]
        (folder / MODULES).write_text(json.dumps(modules), "utf-8")
    place.write_text(json.dumps(document), "utf-8")
    return folder


def task_of(file: str, key: str = "") -> Task:
    family = check.ONLY.get(key)
    generates = file == GENERATION or family is FamilyName.CAUSAL
    return Task.TEXT_GENERATION if generates else Task.FEATURE_EXTRACTION


def another(setting: Setting) -> Any:
    """Return a value that is not one of the fine ones, of their kind."""
    kind = next((type(value) for value in setting.fine), str)
    values: dict[type, Any] = {
        bool: not setting.fine[0] if setting.fine else True,
        int: 7,
        dict: {"a": 1},
        list: [1],
    }
    return values.get(kind, "something else")


REFUSED = [
    (file, setting)
    for file, settings in TABLE.items()
    for setting in settings
    if setting.effect is Effect.REFUSED and setting.key not in check.ELSEWHERE
]


@pytest.mark.parametrize(
    ("file", "setting"), REFUSED, ids=lambda value: str(getattr(value, "key", value))
)
def test_a_refused_setting_stops_a_build_by_name_unless_its_value_is_fine(
    tmp_path: Path, file: str, setting: Setting
) -> None:
    task = TASKS[task_of(file, setting.key)]
    folder = folder_with(tmp_path / "other", file, **{setting.key: another(setting)})
    (problem,) = check.refused(folder, task)
    assert (problem.code, problem.where) == (Code.SETTING_UNSUPPORTED, file)
    assert f"`{setting.key}`" in problem.message
    assert setting.advice in problem.message
    for number, value in enumerate((None, *setting.fine)):
        fine = folder_with(tmp_path / str(number), file, **{setting.key: value})
        assert check.refused(fine, task) == []


def test_every_refused_setting_of_a_folder_is_named_at_once(tmp_path: Path) -> None:
    folder = folder_with(tmp_path, CONFIG, is_decoder=True, pruned_heads={"0": [1]})
    folder_with(tmp_path, WHOLE_MODEL, truncate_dim=8)
    folder_with(tmp_path, POOLING, include_prompt=False)
    found = check.refused(folder, TASKS[Task.FEATURE_EXTRACTION])
    assert [(p.where, p.message.split("`")[1]) for p in found] == [
        (CONFIG, "is_decoder"),
        (CONFIG, "pruned_heads"),
        (WHOLE_MODEL, "truncate_dim"),
        (POOLING, "include_prompt"),
    ]


def test_settings_are_checked_in_the_folder_that_modules_json_names(tmp_path: Path) -> None:
    folder = folder_with(tmp_path, "0_BERT/config.json", is_decoder=True, surprise=1)
    folder_with(tmp_path, "0_BERT/sentence_bert_config.json", model_args={"a": 1}, oddity=2)
    modules = [{"path": "0_BERT", "type": "sentence_transformers.models.Transformer"}]
    (folder / MODULES).write_text(json.dumps(modules), "utf-8")
    task = TASKS[Task.FEATURE_EXTRACTION]
    found = check.refused(folder, task)
    assert [problem.where for problem in found] == [
        "0_BERT/config.json",
        "0_BERT/sentence_bert_config.json",
    ]
    notes = check.unknown(folder, task)
    assert [note.split(" is a")[0] for note in notes] == [
        "0_BERT/config.json: `surprise`",
        "0_BERT/sentence_bert_config.json: `oddity`",
    ]


def test_a_file_that_a_task_does_not_read_refuses_nothing(tmp_path: Path) -> None:
    folder = folder_with(tmp_path, GENERATION, num_return_sequences=4)
    folder_with(tmp_path, WHOLE_MODEL, truncate_dim=8)
    assert check.refused(folder, TASKS[Task.TEXT_CLASSIFICATION]) == []
    (problem,) = check.refused(folder, TASKS[Task.TEXT_GENERATION])
    assert "`num_return_sequences` = 4" in problem.message


def test_without_a_generation_config_the_settings_of_config_json_are_checked(
    tmp_path: Path,
) -> None:
    folder = folder_with(tmp_path, CONFIG, num_return_sequences=4)
    (problem,) = check.refused(folder, TASKS[Task.TEXT2TEXT_GENERATION])
    assert (problem.where, "`num_return_sequences`" in problem.message) == (CONFIG, True)


@pytest.mark.parametrize(
    "config",
    sorted(ROOT.glob("tests/saved_folders/*/*/config.json")),
    ids=lambda path: "-".join(path.parts[-3:-1]),
)
def test_folders_of_four_releases_have_no_setting_that_is_refused_or_not_known(
    config: Path,
) -> None:
    for task in (Task.TEXT_CLASSIFICATION, Task.TEXT_GENERATION, Task.FEATURE_EXTRACTION):
        assert check.refused(config.parent, TASKS[task]) == []
        assert check.unknown(config.parent, TASKS[task]) == ()


def test_a_setting_that_the_table_does_not_know_is_noted_with_its_file(tmp_path: Path) -> None:
    folder = folder_with(tmp_path, CONFIG, hidden_size=8, surprise=1, wonder=None)
    folder_with(tmp_path, "tokenizer_config.json", image_token="<i>", oddity=2)
    folder_with(tmp_path, POOLING, pooling_mode="mean", more=1)
    notes = check.unknown(folder, TASKS[Task.FEATURE_EXTRACTION])
    assert [note.split(":")[0] for note in notes] == [CONFIG, "tokenizer_config.json", POOLING]
    assert "`surprise`, `wonder`" in notes[0]
    assert "`oddity`" in notes[1]
    assert "image_token" not in notes[1]


def test_older_settings_of_generation_in_config_json_are_known(tmp_path: Path) -> None:
    folder = folder_with(tmp_path, CONFIG, hidden_size=8, num_beams=4, top_k=50)
    assert check.unknown(folder, TASKS[Task.TEXT_CLASSIFICATION]) == ()
    assert check.unknown(folder, TASKS[Task.TEXT_GENERATION]) == ()
    assert check.refused(folder, TASKS[Task.TEXT_CLASSIFICATION]) == []


# The keys of facebook/bart-large-cnn and Helsinki-NLP/opus-mt-en-de, as these have them on the Hub.
OF_BART = {
    "_num_labels": 3, "activation_dropout": 0.0, "add_bias_logits": False, "add_final_layer_norm": False,
    "classif_dropout": 0.0, "decoder_attention_heads": 16, "decoder_ffn_dim": 4096, "decoder_layerdrop": 0.0,
    "decoder_layers": 12, "early_stopping": True, "force_bos_token_to_be_generated": True, "forced_bos_token_id": 0,
    "forced_eos_token_id": 2, "gradient_checkpointing": False, "length_penalty": 2.0, "max_length": 142,
    "min_length": 56, "no_repeat_ngram_size": 3, "normalize_before": False, "num_beams": 4, "output_past": True,
    "prefix": " ", "scale_embedding": False, "task_specific_params": {"summarization": {"num_beams": 4}},
}  # fmt: skip
OF_MARIAN = {
    "bad_words_ids": [[58100]], "bos_token_id": 0, "decoder_start_token_id": 58100, "decoder_vocab_size": 58101,
    "init_std": 0.02, "normalize_embedding": False, "share_encoder_decoder_embeddings": True,
    "static_position_embeddings": True, "max_length": 512, "num_beams": 6,
}  # fmt: skip


def test_published_models_that_search_have_no_setting_that_is_refused_or_not_known(
    tmp_path: Path,
) -> None:
    for number, config in enumerate((OF_BART, {**OF_BART, **OF_MARIAN})):
        folder = folder_with(tmp_path / str(number), CONFIG, **config)
        searched = {"num_beams": 4, "early_stopping": True, "renormalize_logits": True}
        folder_with(folder, GENERATION, **searched, length_penalty=2.0, bad_words_ids=[[9]])
        folder_with(folder, "tokenizer_config.json", source_lang="en", target_lang="de")
        for task in (Task.TEXT2TEXT_GENERATION, Task.TEXT_CLASSIFICATION):
            assert check.refused(folder, TASKS[task]) == []
            assert check.unknown(folder, TASKS[task]) == ()


def test_the_page_of_settings_is_the_table() -> None:
    assert (ROOT / "docs/settings.md").read_text("utf-8") == page()
