"""Faults of a Marian folder, and settings of it that are not served, are told by name before anything is loaded."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from build.sources.readers import inspect
from contracts.tasks import Task
from tests.fixtures.models.encoder_decoders.marian import marian
from tests.fixtures.models.sources import assert_refused

pytestmark = pytest.mark.build
TEXTS = Task.TEXT2TEXT_GENERATION


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return marian(tmp_path_factory.mktemp("source") / "marian")


def set_in(name: str, **settings: Any) -> Callable[[Path], object]:
    def change(folder: Path) -> object:
        path = folder / name
        document = json.loads(path.read_text("utf-8"))
        return path.write_text(json.dumps({**document, **settings}), "utf-8")

    return change


def spoil(name: str) -> Callable[[Path], object]:
    return lambda folder: (folder / name).write_bytes(b"\xff\xff")


def train(**options: Any) -> Callable[[Path], object]:
    def change(folder: Path) -> None:
        import sentencepiece

        lines = (folder / "vocab.json").read_text("utf-8").split('"')
        settings = {"vocab_size": 700, "hard_vocab_limit": False, "minloglevel": 2, **options}
        with (folder / "source.spm").open("wb") as file:
            sentencepiece.SentencePieceTrainer.train(
                sentence_iterator=iter(lines), model_writer=file, **settings
            )

    return change


ADDED = {"9": {"content": "<new>"}}
STRIPPED = {"0": {"content": "</s>", "lstrip": True}}


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda folder: (folder / "source.spm").unlink(), ("file_missing", "no source.spm")),
        (lambda folder: (folder / "vocab.json").unlink(), ("file_missing", "no vocab.json")),
        (set_in("tokenizer_config.json", separate_vocabs=True), ("file_missing", "target_vocab.json")),
        (spoil("source.spm"), ("file_damaged", "source.spm")),
        (spoil("target.spm"), ("file_damaged", "target.spm")),
        (set_in("vocab.json", hello="x"), ("file_damaged", "vocab.json", "'x'", "'hello'")),
        (set_in("tokenizer_config.json", pad_token="<end>"), ("tokenizer_mismatch", "<end>")),
        (set_in("tokenizer_config.json", added_tokens_decoder=ADDED), ("tokenizer_unsupported", "<new>")),
        (set_in("tokenizer_config.json", added_tokens_decoder=STRIPPED), ("tokenizer_unsupported", "</s>")),
        (
            set_in("tokenizer_config.json", sp_model_kwargs={"enable_sampling": True}),
            ("setting_unsupported", "sp_model_kwargs"),
        ),
        (set_in("vocab.json", hello=10**6), ("tokenizer_mismatch", "vocab.json makes ids")),
        (train(model_type="bpe"), ("tokenizer_unsupported", "source.spm", "unigram")),
        (train(model_type="unigram", byte_fallback=True), ("tokenizer_unsupported", "bytes")),
        (
            train(model_type="unigram", user_defined_symbols=["<x>"]),
            ("tokenizer_unsupported", "user defined"),
        ),
        (
            train(model_type="unigram", treat_whitespace_as_suffix=True),
            ("tokenizer_unsupported", "spaces"),
        ),
    ],
)  # fmt: skip
def test_what_is_not_served_is_told_by_name(
    source: Path, tmp_path: Path, change: Callable[[Path], object], told: tuple[str, ...]
) -> None:
    folder = shutil.copytree(source, tmp_path / "marian")
    path = folder / "tokenizer_config.json"
    document = json.loads(path.read_text("utf-8"))
    # Without what repeats the special tokens.
    plain = {key: value for key, value in document.items() if key != "added_tokens_decoder"}
    path.write_text(json.dumps(plain), "utf-8")
    change(folder)
    assert_refused(folder, told, task=TEXTS)


def test_the_folder_that_these_tests_spoil_is_sound(source: Path) -> None:
    found, problems = inspect(source, TEXTS, None)
    assert problems == []
    assert found


def test_another_model_of_sentencepiece_makes_another_source(source: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(source, tmp_path / "marian")
    train(model_type="unigram")(folder)
    digests = [inspect(each, TEXTS, None)[0] for each in (source, folder)]
    assert digests[0]
    assert digests[1]
    assert digests[0].digest != digests[1].digest
