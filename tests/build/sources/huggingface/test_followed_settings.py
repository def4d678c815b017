"""Settings that a reader takes from a folder have the engine answer as the libraries do with them.

The model's own forward pass stands in place of its graph, so that no folder has to be exported.
"""

import inspect
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from build.sources.huggingface.folder_files import SENTENCE_CONFIGS
from build.sources.huggingface.tokenizer import with_settings
from build.sources.source import TransformersSource
from build.workspace.quiet import quiet
from contracts.manifest import Manifest
from contracts.prediction import PredictRequest
from contracts.tasks import Task, Tier
from functions.inference.encoder import Encoder
from functions.inference.token_batches import INPUTS, open_tokenizer
from tests.fixtures.models.sources import read_as
from tests.fixtures.models.tiny_bert import POSITIONS, encoder, headed, texts
from tests.fixtures.models.tiny_zoo import ROBERTA, Architecture, classifier_of
from tests.fixtures.transformers_pipelines import pipeline

pytestmark = pytest.mark.build

BERT = Architecture(name="Bert", attention="")
LONG = [" ".join(texts(40)[i : i + 12]) for i in range(6)]
PAIRS = [
    {"text": one, "text_pair": other} for one, other in zip(texts(8), texts(16)[8:], strict=True)
]


def edit(path: Path, **changes: Any) -> None:
    """Change keys of a JSON file; None takes one out."""
    document = {**json.loads(path.read_text("utf-8")), **changes}
    path.write_text(json.dumps({k: v for k, v in document.items() if v is not None}), "utf-8")


def opened(folder: Path, place: Path, task: Task = Task.TEXT_CLASSIFICATION) -> Encoder:
    """Return the engine of a classifier's folder, over the forward pass of transformers."""
    import torch
    from transformers import AutoModelForSequenceClassification

    source = with_settings(read_as(TransformersSource, folder, task), place)
    with quiet():
        model = AutoModelForSequenceClassification.from_pretrained(folder).eval()
    known = inspect.signature(model.forward).parameters

    def forward(feeds: Any) -> Any:
        with torch.inference_mode():
            return model(
                **{n: torch.from_numpy(np.array(a)) for n, a in feeds.items()}
            ).logits.numpy()

    manifest = Manifest(
        model="tiny",
        task=task,
        tier=Tier.CPU,
        precision="fp32",
        recipe="fp32",
        max_tokens=source.max_tokens,
        labels=source.labels,
        pad_token_id=source.pad_token_id,
        details=source.details,
        toolchain={},
    )
    names = tuple(name for name in INPUTS if name in known)
    return Encoder.over(forward, source.tokenizer, manifest, input_names=names)


def scores(model: Encoder, *inputs: Any) -> list[dict[str, float]]:
    count = {"top_k": len(model.manifest.labels)}
    outputs = model.outputs(PredictRequest(inputs=inputs, parameters=count))
    return [{entry["label"]: entry["score"] for entry in output["top"]} for output in outputs]


def theirs(folder: Path, *inputs: Any, **more: Any) -> list[dict[str, float]]:
    ask = pipeline("text-classification", folder, top_k=None)
    found = [ask([each], **more)[0] for each in inputs]
    return [{entry["label"]: entry["score"] for entry in one} for one in found]


def assert_same(found: list[dict[str, float]], wanted: list[dict[str, float]]) -> None:
    for one, other in zip(found, wanted, strict=True):
        assert one == pytest.approx(other, abs=1e-5)


def differ(one: list[dict[str, float]], other: list[dict[str, float]]) -> bool:
    return any(abs(a[k] - b[k]) > 1e-3 for a, b in zip(one, other, strict=True) for k in a)


def test_a_model_without_token_types_gets_none_for_pairs(tmp_path: Path) -> None:
    folder = classifier_of(tmp_path / "source", BERT)
    typed = scores(opened(folder, tmp_path / "typed"), *PAIRS)
    assert_same(typed, theirs(folder, *PAIRS))
    edit(folder / "tokenizer_config.json", model_input_names=["input_ids", "attention_mask"])
    plain = scores(opened(folder, tmp_path / "plain"), *PAIRS)
    assert_same(plain, theirs(folder, *PAIRS))
    assert differ(plain, typed)
    # Nor does a tokenizer without a class of its own and without that key, in transformers 5.
    edit(folder / "tokenizer_config.json", model_input_names=None)
    assert_same(scores(opened(folder, tmp_path / "none"), *PAIRS), theirs(folder, *PAIRS))


def test_long_texts_lose_the_end_that_truncation_side_names(tmp_path: Path) -> None:
    folder = classifier_of(tmp_path / "source", BERT)
    right = scores(opened(folder, tmp_path / "right"), *LONG)
    assert_same(right, theirs(folder, *LONG, truncation=True))
    edit(folder / "tokenizer_config.json", truncation_side="left")
    left = scores(opened(folder, tmp_path / "left"), *LONG)
    assert_same(left, theirs(folder, *LONG, truncation=True))
    assert differ(left, right)


@pytest.mark.parametrize("key", ["model_max_length", "max_len"])
def test_a_text_is_read_up_to_the_tokenizer_s_limit(tmp_path: Path, key: str) -> None:
    folder = classifier_of(tmp_path / "source", BERT)
    edit(folder / "tokenizer_config.json", **{"model_max_length": None, key: 9})
    found = opened(folder, tmp_path / "made")
    assert found.manifest.max_tokens == 9
    assert_same(scores(found, *LONG), theirs(folder, *LONG, truncation=True))


@pytest.mark.parametrize("padding", [1, 4, None])
@pytest.mark.parametrize("name", ["Roberta", "XLMRoberta", "Data2VecText", "Camembert"])
def test_positions_behind_the_padding_s_are_not_counted(
    tmp_path: Path, name: str, padding: int | None
) -> None:
    config = {"max_position_embeddings": POSITIONS + 2, "pad_token_id": padding or 1}
    one = Architecture(name=name, attention="", config=config, special=tuple(ROBERTA), types=False)
    folder = classifier_of(tmp_path / "source", one)
    edit(folder / "tokenizer_config.json", model_max_length=None)
    edit(folder / "config.json", pad_token_id=padding)
    found = opened(folder, tmp_path / "made")
    assert found.manifest.max_tokens == POSITIONS + 2 - ((padding or 1) + 1)
    # The longest text that the table has rows for is answered, by the library too.
    limit = {"truncation": True, "max_length": found.manifest.max_tokens}
    assert_same(scores(found, *LONG), theirs(folder, *LONG, **limit))


IDENTITY = "torch.nn.modules.linear.Identity"


SETTINGS = "config_sentence_transformers.json"
SIGMOID = "torch.nn.modules.activation.Sigmoid"


@pytest.mark.parametrize("saved_today", [True, False])
@pytest.mark.parametrize(
    ("file", "settings"),
    [
        ("config.json", {}),
        ("config.json", {"sentence_transformers": {"activation_fn": IDENTITY}}),
        ("config.json", {"sbert_ce_default_activation_function": IDENTITY}),
        (SETTINGS, {"activation_fn": IDENTITY}),
        (SETTINGS, {"activation_fn": SIGMOID}),
    ],
    ids=str,
)
def test_a_cross_encoder_scores_by_its_own_activation(
    tmp_path: Path, file: str, settings: dict[str, Any], saved_today: bool
) -> None:
    from sentence_transformers import CrossEncoder

    def load(folder: Path) -> Any:
        with quiet():
            return CrossEncoder(str(folder), device="cpu")

    folder = headed(tmp_path / "older", "BertForSequenceClassification", labels=("relevance",))
    if saved_today:  # with modules.json, without which the library does not look at that file
        load(folder).save_pretrained(str(tmp_path / "source"))
        folder = tmp_path / "source"
    if not (folder / file).is_file():
        (folder / file).write_text("{}", "utf-8")
    edit(folder / file, **settings)
    found = opened(folder, tmp_path / "made", Task.TEXT_RANKING)
    request = PredictRequest(inputs=tuple(texts(6)), parameters={"query": "great film"})
    pairs = [("great film", text) for text in texts(6)]
    wanted = load(folder).predict(pairs, show_progress_bar=False).tolist()
    assert [output["score"] for output in found.outputs(request)] == pytest.approx(wanted, abs=1e-5)


@pytest.mark.parametrize("name", SENTENCE_CONFIGS)
def test_the_length_of_a_sentence_model_is_read_under_each_name_of_its_config(
    tmp_path: Path, name: str
) -> None:
    folder = encoder(tmp_path / "source")
    (folder / name).write_text('{"max_seq_length": 8, "do_lower_case": false}', "utf-8")
    assert read_as(TransformersSource, folder, Task.FEATURE_EXTRACTION).max_tokens == 8


def test_the_length_of_a_sentence_model_comes_in_place_of_the_tokenizer_s(
    tmp_path: Path, sentence_tokens: Callable[[Path, str], list[int]]
) -> None:
    folder = encoder(tmp_path / "source")
    edit(folder / "tokenizer_config.json", model_max_length=8)
    (folder / "sentence_bert_config.json").write_text('{"max_seq_length": 12}', "utf-8")
    read = read_as(TransformersSource, folder, Task.FEATURE_EXTRACTION)
    assert read.max_tokens == 12 == len(sentence_tokens(folder, LONG[0]))
    # transformers reads no such file.
    other = classifier_of(tmp_path / "other", BERT)
    (other / "sentence_bert_config.json").write_text('{"max_seq_length": 12}', "utf-8")
    assert read_as(TransformersSource, other, Task.TEXT_CLASSIFICATION).max_tokens == POSITIONS


@pytest.fixture
def sentence_tokens() -> Callable[[Path, str], list[int]]:
    """Return sentence-transformers' own tokens of a text."""

    def tokens(folder: Path, text: str) -> list[int]:
        from sentence_transformers import SentenceTransformer

        with quiet():
            model = SentenceTransformer(str(folder), device="cpu")
        ids: list[int] = model.tokenize([text])["input_ids"][0].tolist()
        return ids

    return tokens


def test_a_sentence_model_s_length_and_small_letters_are_those_of_its_library(
    tmp_path: Path, sentence_tokens: Callable[[Path, str], list[int]]
) -> None:
    folder = encoder(tmp_path / "source")
    edit(folder / "tokenizer_config.json", do_lower_case=False)
    text = "The GREAT film was Never dull, AND the Actor was fine again"
    limits: tuple[dict[str, Any], ...] = (
        {"max_seq_length": 8},
        {"max_seq_length": 12, "do_lower_case": True},
    )
    found = []
    for number, settings in enumerate(limits):
        (folder / "sentence_bert_config.json").write_text(json.dumps(settings), "utf-8")
        read = read_as(TransformersSource, folder, Task.FEATURE_EXTRACTION)
        source = with_settings(read, tmp_path / str(number))
        ids = open_tokenizer(source.tokenizer, source.max_tokens).encode(text).ids
        assert ids == sentence_tokens(folder, text)
        found.append(ids)
    assert found[0] != found[1][: len(found[0])]
