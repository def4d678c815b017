"""Pooling of a text's tokens to one vector, against sums written out here: no padding, one text at a time."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from build.export.fusion import fuse, fused_operators, plain
from build.export.to_onnx import export
from build.sources.huggingface.folder_files import read_folder_files
from build.sources.huggingface.pooling_config import MODES, read_pooling
from build.sources.source import Pooling, TransformersSource, Unusable
from contracts.prediction import PredictRequest
from contracts.tasks import Task
from functions.inference.session import open_session
from functions.inference.token_batches import INPUTS, Feeds
from tests.fixtures.models.sources import read_as
from tests.fixtures.models.tiny_bert import encoder, texts
from tests.fixtures.problems import assert_problems
from tests.fixtures.transformers_pipelines import answers

Vector = NDArray[np.float64]
TEXTS = texts(6)
WIDTH = 32

RIGHT: dict[str, Callable[[Vector], Vector]] = {
    "cls": lambda tokens: tokens[0],
    "max": lambda tokens: tokens.max(0),
    "mean": lambda tokens: tokens.mean(0),
    "mean_sqrt_len_tokens": lambda tokens: tokens.sum(0) / len(tokens) ** 0.5,
    "weightedmean": lambda tokens: np.average(tokens, axis=0, weights=range(1, len(tokens) + 1)),
    "lasttoken": lambda tokens: tokens[-1],
    "cls+mean": lambda tokens: np.concatenate([tokens[0], tokens.mean(0)]),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return encoder(tmp_path_factory.mktemp("pooling") / "source")


@pytest.fixture(scope="module")
def exported(folder: Path) -> Path:
    return export(read(folder), folder.parent / "exported")


@pytest.fixture(scope="module")
def tokens(folder: Path) -> list[Vector]:
    """Return the vectors of each text's tokens, by transformers."""
    import torch
    from transformers import AutoModel, AutoTokenizer

    model = AutoModel.from_pretrained(folder).eval()
    tokenizer = AutoTokenizer.from_pretrained(folder)
    with torch.inference_mode():
        found = [model(**tokenizer(text, return_tensors="pt")) for text in TEXTS]
    return [one.last_hidden_state[0].numpy().astype(np.float64) for one in found]


def read(folder: Path) -> TransformersSource:
    return read_as(TransformersSource, folder, Task.FEATURE_EXTRACTION)


def shaped(
    folder: Path, config: dict[str, Any], *layers: str, normalize: bool = False
) -> TransformersSource:
    """Return the folder's source with another pooling."""
    kinds = ["Transformer", "Pooling", *layers, *(["Normalize"] if normalize else [])]
    modules = [
        {
            "idx": i,
            "name": str(i),
            "path": f"{i}_{kind}" if i else "",
            "type": f"sentence_transformers.models.{kind}",
        }
        for i, kind in enumerate(kinds)
    ]
    (folder / "modules.json").write_text(json.dumps(modules), "utf-8")
    pooling = {"word_embedding_dimension": WIDTH, **config}
    (folder / "1_Pooling/config.json").write_text(json.dumps(pooling), "utf-8")
    return read(folder)


def layer(folder: Path, activation: str, *, bias: bool = True) -> tuple[Vector, Vector]:
    """Write a Dense layer as sentence-transformers saves it; gives its weights."""
    from safetensors.numpy import save_file

    made = np.random.default_rng(7)
    matrix, offset = made.normal(size=(5, WIDTH)), made.normal(size=5)
    folder.mkdir(exist_ok=True)
    weights = {"linear.weight": matrix.astype(np.float32)}
    if bias:
        weights["linear.bias"] = offset.astype(np.float32)
    save_file(weights, folder / "model.safetensors")
    module = "linear" if activation == "Identity" else "activation"
    config = {
        "in_features": WIDTH,
        "out_features": 5,
        "bias": bias,
        "activation_function": f"torch.nn.modules.{module}.{activation}",
    }
    (folder / "config.json").write_text(json.dumps(config), "utf-8")
    return matrix, offset if bias else np.zeros(5)


def together(source: TransformersSource, exported: Path, place: Path) -> Vector:
    """Return the graph's vectors of all texts in one padded batch."""
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(source.tokenizer))
    tokenizer.enable_padding()
    encodings = tokenizer.encode_batch(TEXTS)
    session = open_session(plain(source, exported, place / "plain.onnx"), threads=1, device="cpu")
    feeds: Feeds = {
        node.name: np.array([getattr(e, INPUTS[node.name]) for e in encodings], np.int64)
        for node in session.get_inputs()
    }
    found: Vector = session.run(None, feeds)[0].astype(np.float64)
    return found


def by_sentence_transformers(source: TransformersSource) -> Vector:
    found = answers(source, [PredictRequest(inputs=tuple(TEXTS))])
    return np.array([one["embedding"] for one in found[0]])


@pytest.mark.parametrize("modes", RIGHT)
def test_tokens_become_one_vector_as_the_folder_says(
    folder: Path, exported: Path, tokens: list[Vector], tmp_path: Path, modes: str
) -> None:
    names = modes.split("+")
    source = shaped(folder, {"pooling_mode": names[0] if len(names) == 1 else names})
    right = np.stack([RIGHT[modes](one) for one in tokens])
    np.testing.assert_allclose(together(source, exported, tmp_path), right, atol=1e-5)
    np.testing.assert_allclose(by_sentence_transformers(source), right, atol=1e-5)


@pytest.mark.parametrize("modes", RIGHT)
def test_what_is_put_at_a_graph_s_end_keeps_nothing_from_being_fused(
    folder: Path, exported: Path, tmp_path: Path, modes: str
) -> None:
    source = shaped(folder, {"pooling_mode": modes.split("+")}, normalize=True)
    graph = plain(source, exported, tmp_path / "plain.onnx")
    found = fused_operators(fuse(source, graph, tmp_path / "fused.onnx"))
    assert found == "2 Attention, 4 SkipLayerNormalization, 2 BiasGelu"


@pytest.mark.parametrize(
    ("activation", "bias", "function"),
    [
        ("Tanh", True, np.tanh),
        ("Identity", False, lambda x: x),
        ("ReLU", True, lambda x: np.maximum(x, 0)),
        ("Sigmoid", True, lambda x: 1 / (1 + np.exp(-x))),
    ],
)
def test_a_layer_over_the_vector_comes_before_its_length_is_made_one(
    folder: Path,
    exported: Path,
    tokens: list[Vector],
    tmp_path: Path,
    activation: str,
    bias: bool,
    function: Callable[[Vector], Vector],
) -> None:
    matrix, offset = layer(folder / "2_Dense", activation, bias=bias)
    source = shaped(folder, {"pooling_mode_mean_tokens": True}, "Dense", normalize=True)
    made = [function(matrix @ one.mean(0) + offset) for one in tokens]
    right = np.stack([one / np.linalg.norm(one) for one in made])
    np.testing.assert_allclose(together(source, exported, tmp_path), right, atol=1e-5)
    np.testing.assert_allclose(by_sentence_transformers(source), right, atol=1e-5)


def test_both_forms_of_a_pooling_s_settings_are_read(folder: Path) -> None:
    for key, mode in MODES.items():
        assert shaped(folder, {key: True, "word_embedding_dimension": WIDTH}).pooling == Pooling(
            modes=mode
        )
    both = {"pooling_mode_mean_tokens": True, "pooling_mode_cls_token": True}
    assert shaped(folder, both, "Dropout").pooling == Pooling(modes="cls+mean")
    normalized = shaped(folder, {"pooling_mode": ["mean", "cls"]}, normalize=True)
    assert normalized.pooling == Pooling(modes="mean+cls", normalize=True)
    assert read_pooling(read_folder_files(folder)) == normalized.pooling


@pytest.mark.parametrize(
    "config", [{}, {"pooling_mode_mean_tokens": False, "pooling_mode_cls_token": 0}]
)
def test_a_pooling_without_a_mode_is_the_mean_as_in_its_library(
    folder: Path, config: dict[str, Any]
) -> None:
    from sentence_transformers.sentence_transformer.modules import Pooling as Library

    source = shaped(folder, {**config, "word_embedding_dimension": WIDTH})
    assert source.pooling == Pooling(modes="mean")
    assert Library.load(str(source.folder), subfolder="1_Pooling").pooling_mode == "mean"


@pytest.mark.parametrize(
    ("config", "activation"),
    [
        ({"activation_function": "mine.Swish"}, "Swish"),
        ({"use_residual": True}, "Tanh"),
        ({"module_input_name": "token_embeddings"}, "Tanh"),
    ],
)
def test_a_layer_that_does_something_else_is_refused(
    folder: Path, config: dict[str, Any], activation: str
) -> None:
    layer(folder / "2_Dense", "Tanh")
    shaped(folder, {"pooling_mode": "mean"}, "Dense")
    written = json.loads((folder / "2_Dense/config.json").read_text("utf-8"))
    (folder / "2_Dense/config.json").write_text(json.dumps({**written, **config}), "utf-8")
    with pytest.raises(Unusable) as caught:
        read_pooling(read_folder_files(folder))
    layer_named = f"2_Dense is a Dense layer with {activation}"
    assert_problems(caught.value.problems, ("pooling_unsupported", "", layer_named))


def test_a_module_outside_of_the_folder_is_not_read(folder: Path) -> None:
    shaped(folder, {"pooling_mode": "mean"})
    modules = json.loads((folder / "modules.json").read_text("utf-8"))
    modules[1]["path"] = "../elsewhere"
    (folder / "modules.json").write_text(json.dumps(modules), "utf-8")
    with pytest.raises(Unusable) as caught:
        read_pooling(read_folder_files(folder))
    assert_problems(caught.value.problems, ("file_outside", "", "'../elsewhere'"))
