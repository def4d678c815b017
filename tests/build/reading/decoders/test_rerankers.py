"""Rerankers of Qwen3 score as sentence-transformers' CrossEncoder does, or as their model card where that cannot."""

import json
import shutil
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from build.errors import ReadingDiffers
from build.sources.readers import inspect
from build.sources.source import TransformersSource
from contracts.prediction import PredictRequest
from contracts.tasks import Task
from functions.inference.engine import Engine
from tests.build.reading.decoders.models import (
    CHAT_TEMPLATE,
    CONTEXT,
    RERANK_TEMPLATE,
    TEXTS,
    change,
    qwen3,
    ranked,
    reranker,
    write,
)
from tests.build.reading.read_source import Change, Read, read
from tests.fixtures.models.sources import assert_refused
from tests.fixtures.models.tiny_bert import CPU

RANK = Task.TEXT_RANKING
LONG = " ".join(TEXTS)
PAIRS = ranked(TEXTS)
# The template of a prompt is the model's own, and texts are cut before its end.
ROWS = [*PAIRS, *ranked(TEXTS[:1], {"prompt_name": "code"}, {"texts": [LONG, "x", LONG[5:]]})]


def read_model(place: Path, make: Callable[[Path], Path], rows: Sequence[dict[str, Any]]) -> Read:
    return read(place, make, RANK, rows, cpu=replace(CPU, max_tokens=None))


def original(folder: Path) -> Path:
    """Save the files that Qwen3-Reranker had at first: those of a chat model, whose template knows no query."""
    qwen3(folder, max_position_embeddings=600)
    settings = {"model_max_length": 600, "chat_template": CHAT_TEMPLATE}
    change(folder / "tokenizer_config.json", **settings)
    return folder


def classifier(folder: Path, **config: Any) -> Path:
    return qwen3(folder, "Qwen3ForSequenceClassification", num_labels=1, **config)


def classifier_of_messages(folder: Path) -> Path:
    """Save a classifier as sentence-transformers does where the tokenizer has a template."""
    classifier(folder, max_position_embeddings=160)
    change(folder / "tokenizer_config.json", model_max_length=160)
    (folder / "chat_template.jinja").write_text(RERANK_TEMPLATE, "utf-8")
    return folder


MODELS: dict[str, tuple[Callable[[Path], Path], Sequence[dict[str, Any]]]] = {
    "a template": (reranker, ROWS),
    "a template that is cut": (partial(reranker, context=150), ROWS),
    "one token": (
        partial(reranker, tokens={"true_token_id": 40, "false_token_id": None}),
        ROWS[:3],
    ),
    "the model card": (original, [*PAIRS[:3], {**PAIRS[0], "texts": [LONG, LONG * 2]}]),
    "a classifier": (classifier, [*PAIRS, {**PAIRS[0], "texts": [LONG, "x"]}]),
    "a classifier of messages": (
        classifier_of_messages,
        [*PAIRS[:3], {**PAIRS[0], "texts": [LONG]}],
    ),
    "a pair without a template": (qwen3, PAIRS[:4]),
}


@pytest.mark.exhaustive(keep=1)
@pytest.mark.parametrize("name", MODELS)
def test_texts_have_the_scores_of_their_library(tmp_path: Path, name: str) -> None:
    make, rows = MODELS[name]
    found = read_model(tmp_path, make, rows)
    result = found.check(tmp_path / "made", Change())
    assert (result.rows, result.near_ties) == (len(rows), 0)
    assert result.libraries["sentence-transformers"].startswith("6.")
    scores = [output["score"] for outputs in found.reference.outputs for output in outputs]
    assert all(0 < score < 1 for score in scores)
    # A thousand times what the scores of both may differ by.
    assert max(scores) - min(scores) > 0.01
    # In one batch, texts of all lengths are padded; the library took them one by one.
    engine = Engine.load(tmp_path / "made/sealed")
    texts = tuple(rows[0]["texts"])
    request = PredictRequest(inputs=texts, parameters={"query": rows[0]["query"]})
    outputs = engine.predict(request).outputs
    right = [output["score"] for output in found.reference.outputs[0]]
    assert [output["score"] for output in outputs] == pytest.approx(right, abs=1e-5)


def test_a_text_that_is_cut_keeps_the_end_of_the_template(tmp_path: Path) -> None:
    found = read_model(tmp_path, partial(reranker, context=150), ROWS[-1:])
    found.check(tmp_path / "made", Change())
    engine = Engine.load(tmp_path / "made/sealed")
    request = PredictRequest(inputs=(LONG, "x"), parameters={"query": "the train"})
    long, short = engine.predict(request).outputs
    assert (long["tokens"], long["truncated"]) == (150, True)
    assert short["tokens"] < 150
    assert not short["truncated"]

    def without_the_end(source: TransformersSource) -> TransformersSource:
        conversation = source.details["conversation"]
        pieces = {p: [*own[:2], own[2][:-2]] for p, own in conversation["pieces"].items()}
        return replace(
            source, details={**source.details, "conversation": {**conversation, "pieces": pieces}}
        )

    def without_activation(source: TransformersSource) -> TransformersSource:
        ids = {key: source.details[key] for key in ("true_token_id", "false_token_id")}
        vocabulary = json.loads(source.tokenizer.read_text("utf-8"))["model"]["vocab"]
        assert ids == {"true_token_id": vocabulary["yes"], "false_token_id": vocabulary["no"]}
        return replace(source, details={**source.details, "activation": "Identity"})

    for name, misread in (("end", without_the_end), ("activation", without_activation)):
        with pytest.raises(ReadingDiffers):
            found.check(tmp_path / name, Change(source=misread))


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return reranker(tmp_path_factory.mktemp("saved") / "source", num_hidden_layers=1)


@pytest.fixture
def folder(saved: Path, tmp_path: Path) -> Path:
    """Return a copy of a reranker, to be changed."""
    return Path(shutil.copytree(saved, tmp_path / "source"))


EACH = "{% for m in messages %}{{ m.content }}{% endfor %}"


@pytest.mark.parametrize(
    ("template", "things"),
    [
        (CHAT_TEMPLATE, ("drops the message of the role 'query'", "chat_template.jinja")),
        (EACH + EACH, ("repeats the message",)),
        (EACH.replace("content", "content | replace('1', '2')"), ("by what is in it",)),
        ("{{ raise_exception('roles must alternate') }}", ("roles must alternate",)),
        ("{% for %}", ("TemplateSyntaxError",)),
        ("{{ ''.__class__.__mro__ }}", ("SecurityError", "unsafe")),
        ("{{ strftime_now('%d') }}" + EACH, ("it writes the time",)),
        ("{{ 'a' * 3000000000 }}", ("TooMuch", "8,388,608")),
        ("{{ '%3000000000d' % 1 }}", ("MemoryError",)),
        ("{{ 'a' * 3000000 }}" + EACH, ("3,00", "characters")),
    ],
)
def test_a_template_that_is_no_frame_is_refused_with_the_reason(
    folder: Path, template: str, things: tuple[str, ...]
) -> None:
    (folder / "chat_template.jinja").write_text(template, "utf-8")
    assert_refused(folder, ("setting_unsupported", "chat template", *things), task=RANK)


@pytest.mark.parametrize(
    ("file", "settings", "things"),
    [
        ("1_LogitScore/config.json", {"true_token_id": 100_000}, ("file_damaged", "`true_token_id`")),
        ("1_LogitScore/config.json", {"true_token_id": "yes"}, ("file_damaged", "'yes'")),
        ("sentence_bert_config.json", {"transformer_task": "any-to-any"}, ("setting_unsupported", "'any-to-any'")),
        ("sentence_bert_config.json", {"processing_kwargs": {"text": {"max_length": 9}}},
         ("setting_unsupported", "'text'")),
        ("sentence_bert_config.json", {"processing_kwargs": {"chat_template": {"restore_suffix": False}}},
         ("setting_unsupported", "'restore_suffix'")),
    ],
)  # fmt: skip
def test_a_setting_of_a_reranker_that_is_not_served_is_named(
    folder: Path, file: str, settings: dict[str, Any], things: tuple[str, ...]
) -> None:
    change(folder / file, **settings)
    assert_refused(folder, things, task=RANK)


def test_modules_beside_a_transformer_and_the_score_are_named(folder: Path) -> None:
    modules = json.loads((folder / "modules.json").read_text("utf-8"))
    modules[1]["type"] = "sentence_transformers.models.Dense"
    write(folder / "modules.json", modules)
    assert_refused(
        folder, ("architecture_unsupported", "Transformer, Dense", "LogitScore"), task=RANK
    )


def test_a_model_without_the_words_of_a_score_is_refused(tmp_path: Path) -> None:
    folder = qwen3(tmp_path / "source", num_hidden_layers=1)
    document = json.loads((folder / "tokenizer.json").read_text("utf-8"))
    vocabulary = document["model"]["vocab"]
    vocabulary["nope"] = vocabulary.pop("no")
    document["model"]["merges"] = [m for m in document["model"]["merges"] if m != ["n", "o"]]
    write(folder / "tokenizer.json", document)
    assert_refused(folder, ("tokenizer_mismatch", "lacks 'no'", "LogitScore"), task=RANK)


def test_templates_are_read_where_transformers_reads_them(tmp_path: Path) -> None:
    folder = original(tmp_path / "source")
    listed = [{"name": "default", "template": EACH}, {"name": "other", "template": ""}]
    change(folder / "tokenizer_config.json", chat_template=listed)
    assert pieces(folder) == ["", "", ""]
    (folder / "chat_template.jinja").write_text(f"[{EACH}]", "utf-8")
    assert pieces(folder) == ["[", "", "]"]
    more = folder / "additional_chat_templates"
    more.mkdir()
    (more / "tools.jinja").write_text("", "utf-8")
    assert pieces(folder) == ["[", "", "]"]
    tokens = (
        "{{ eos_token }}{% for m in messages %}{{ m['content'] | trim }}{% endfor %}{{ pad_token }}"
    )
    (folder / "chat_template.jinja").write_text(tokens, "utf-8")
    assert pieces(folder) == ["<|im_end|>", "", "<|endoftext|>"]


def pieces(folder: Path) -> Any:
    source, problems = inspect(folder, RANK, None, None)
    assert source is not None, problems
    return source.details["conversation"]["pieces"][""]


def test_another_template_is_another_source(folder: Path) -> None:
    before = inspect(folder, RANK, CONTEXT, None)[0]
    (folder / "chat_template.jinja").write_text(EACH, "utf-8")
    after = inspect(folder, RANK, CONTEXT, None)[0]
    assert before is not None
    assert after is not None
    assert before.digest != after.digest
