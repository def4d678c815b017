"""Every recipe makes a graph that the runtime loads and that answers nearly as the one it came from."""

from pathlib import Path

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import numpy_helper

from build.export import export
from build.optimise import optimise
from build.quantize import FLOAT, RECIPES, Recipe, quantize
from build.smooth import smooth
from build.source import Source, inspect
from contracts.tasks import Task
from functions.inference.session import open_session
from functions.inference.tokens import INPUTS, encode, open_tokenizer
from tests.tiny_bert import classifier, texts

TEXTS = texts(40)


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Source:
    found, _ = inspect(
        classifier(tmp_path_factory.mktemp("source") / "classifier"), Task.TEXT_CLASSIFICATION, None
    )
    assert found is not None
    return found


@pytest.fixture(scope="module")
def optimised(source: Source, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The fused graph with outliers put into it: two channels of a layer norm's output are 30 times the others."""
    folder = tmp_path_factory.mktemp("optimised")
    path = optimise(source, export(source, folder / "exported"), folder / "optimised.onnx")
    model = onnx.load(path)
    for tensor in model.graph.initializer:
        if tensor.name.endswith("LayerNorm.weight"):
            values = numpy_helper.to_array(tensor).copy()
            values[[3, 17]] *= 30
            tensor.CopyFrom(numpy_helper.from_array(values, tensor.name))
    onnx.save(model, path)
    return path


def logits(model: Path, source: Source) -> NDArray[np.float32]:
    session = open_session(model, threads=1, device="cpu")
    names = [node.name for node in session.get_inputs()]
    tokenizer = open_tokenizer(source.folder / "tokenizer.json", source.max_tokens)
    rows = [
        session.run(None, {n: np.array([getattr(e, INPUTS[n])], np.int64) for n in names})[0][0]
        for e in encode(tokenizer, TEXTS)
    ]
    return np.array(rows, np.float32)


def error(recipe: Recipe, optimised: Path, source: Source, folder: Path) -> float:
    """The size of what a recipe changes in the logits, over the size of the logits."""
    tokenizer = open_tokenizer(source.folder / "tokenizer.json", source.max_tokens)
    made = quantize(recipe, optimised, folder / "made.onnx", encode(tokenizer, TEXTS))
    exact = logits(optimised, source)
    return float(np.linalg.norm(logits(made, source) - exact) / np.linalg.norm(exact))


def test_the_fused_graph_has_one_operator_for_each_attention(optimised: Path) -> None:
    kinds = [node.op_type for node in onnx.load(optimised).graph.node]
    assert kinds.count("Attention") == 2
    assert kinds.count("SkipLayerNormalization") == 4
    assert "EmbedLayerNormalization" in kinds


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda recipe: recipe.name)
def test_a_recipe_changes_the_weights_and_little_of_the_answers(
    recipe: Recipe, optimised: Path, source: Source, tmp_path: Path
) -> None:
    assert 0 < error(recipe, optimised, source, tmp_path) < 0.35
    assert (tmp_path / "made.onnx").stat().st_size < optimised.stat().st_size


def test_full_precision_is_left_as_it_is(optimised: Path, source: Source, tmp_path: Path) -> None:
    assert (
        quantize(FLOAT, optimised, tmp_path / "made.onnx", []).read_bytes()
        == optimised.read_bytes()
    )


def test_recipes_come_nearer_to_the_original_one_after_the_other(
    optimised: Path, source: Source, tmp_path: Path
) -> None:
    plain, smoothed, blocks, _ = (error(recipe, optimised, source, tmp_path) for recipe in RECIPES)
    assert blocks < smoothed < plain


def test_smoothing_alone_changes_nothing_but_rounding(
    optimised: Path, source: Source, tmp_path: Path
) -> None:
    tokenizer = open_tokenizer(source.folder / "tokenizer.json", source.max_tokens)
    made = smooth(
        optimised, tmp_path / "smooth.onnx", ("MatMul", "Attention"), encode(tokenizer, TEXTS)
    )
    np.testing.assert_allclose(
        logits(made, source), logits(optimised, source), rtol=1e-3, atol=1e-3
    )
    before, after = (onnx.load(path).graph for path in (optimised, made))
    added = [node.op_type for node in after.node][len(before.node) :]
    assert len(after.node) - len(before.node) == 8  # four products in each of two layers
    assert len(added) == 8
    assert len(after.initializer) == len(before.initializer) + 8


def test_a_recipe_gives_the_same_bytes_twice(
    optimised: Path, source: Source, tmp_path: Path
) -> None:
    tokenizer = open_tokenizer(source.folder / "tokenizer.json", source.max_tokens)
    for recipe in RECIPES:
        first, second = (
            quantize(recipe, optimised, tmp_path / name, encode(tokenizer, TEXTS)).read_bytes()
            for name in ("1", "2")
        )
        assert first == second
