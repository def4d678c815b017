"""Every recipe makes a graph that the runtime loads and that answers nearly as the one it came from."""

from pathlib import Path

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import numpy_helper

from build.export.fusion import fuse, plain
from build.export.to_onnx import export
from build.families.reference import feeds_of
from build.graph.edit import matmuls
from build.graph.file import external_data_of
from build.graph.observe import observe, with_observed_outputs
from build.recipes import embedding_tables
from build.recipes.encoder import FP32, FP32_FUSED, INT8, make
from build.recipes.recipe import EncoderRecipe
from build.recipes.sensitivity import first_tokens, most_sensitive
from build.recipes.smoothquant import smooth
from build.sources.source import TransformersSource
from contracts.prediction import PredictRequest
from contracts.tasks import Task
from functions.inference.session import open_session
from functions.inference.token_batches import Feeds
from tests.build.recipes.candidates import candidate
from tests.fixtures.models.sources import read_as
from tests.fixtures.models.tiny_bert import SPECIAL, WORDS, classifier, texts
from tests.fixtures.models.tiny_zoo import ZOO, classifier_of

TEXTS = texts(40)


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> TransformersSource:
    folder = classifier(tmp_path_factory.mktemp("source") / "classifier")
    return read_as(TransformersSource, folder, Task.TEXT_CLASSIFICATION)


@pytest.fixture(scope="module")
def feeds(source: TransformersSource) -> list[Feeds]:
    return feeds_of(source, [PredictRequest(inputs=(text,)) for text in TEXTS])


@pytest.fixture(scope="module")
def graph(source: TransformersSource, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the plain graph with outliers: two channels of a layer norm's output are 30 times the others."""
    folder = tmp_path_factory.mktemp("graph")
    path = plain(source, export(source, folder / "exported"), folder / "plain.onnx")
    model = onnx.load(path)
    for tensor in model.graph.initializer:
        if tensor.name.endswith("LayerNorm.weight"):
            values = numpy_helper.to_array(tensor).copy()
            values[[3, 17]] *= 30
            tensor.CopyFrom(numpy_helper.from_array(values, tensor.name))
    onnx.save(model, path)
    return path


@pytest.fixture(scope="module")
def fused(
    graph: Path, source: TransformersSource, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    return fuse(source, graph, tmp_path_factory.mktemp("fused") / "fused.onnx")


def kinds(path: Path) -> list[str]:
    return [node.op_type for node in onnx.load(path).graph.node]


def logits(model: Path, feeds: list[Feeds]) -> NDArray[np.float32]:
    session = open_session(model, threads=1, device="cpu")
    names = [node.name for node in session.get_inputs()]
    rows = [session.run(None, {name: feed[name] for name in names})[0][0] for feed in feeds]
    return np.array(rows, np.float32)


def error(one: Path, other: Path, feeds: list[Feeds]) -> float:
    """Return the largest difference of the logits of two graphs, as a share of the first's size."""
    exact = logits(one, feeds)
    return float(np.linalg.norm(logits(other, feeds) - exact) / np.linalg.norm(exact))


def named(name: str) -> EncoderRecipe:
    return next(recipe for recipe in INT8 if recipe.name == name)


def test_the_fused_graph_has_one_operator_for_each_attention(fused: Path) -> None:
    found = kinds(fused)
    assert found.count("Attention") == 2
    assert found.count("SkipLayerNormalization") == 4
    assert "EmbedLayerNormalization" in found


@pytest.mark.parametrize("recipe", INT8[:-1], ids=lambda recipe: recipe.name)
def test_a_recipe_changes_the_weights_and_little_of_the_answers(
    recipe: EncoderRecipe, graph: Path, fused: Path, feeds: list[Feeds], tmp_path: Path
) -> None:
    made = candidate(recipe, graph, fused, tmp_path / "made.onnx", feeds)
    assert 0 < error(fused, made, feeds) < 0.35
    assert made.stat().st_size < external_data_of(fused).stat().st_size
    assert [path.name for path in tmp_path.iterdir()] == ["made.onnx"]


@pytest.mark.parametrize(
    "recipe",
    [recipe for recipe in INT8 if recipe.matmuls and recipe.matmuls.per_channel],
    ids=lambda recipe: recipe.name,
)
def test_every_product_has_a_scale_for_each_column_in_the_head_as_well(
    recipe: EncoderRecipe, graph: Path, fused: Path, feeds: list[Feeds], tmp_path: Path
) -> None:
    assert "Gemm" in kinds(fused)
    made = onnx.load(candidate(recipe, graph, fused, tmp_path / "made.onnx", feeds))
    assert "Gemm" not in kinds(tmp_path / "made.onnx")
    sizes = {tensor.name: list(tensor.dims) for tensor in made.graph.initializer}
    quantized = [name for name in sizes if name.endswith("_quantized")]
    assert len(quantized) >= 2  # the pooler's and the classifier's, if all others are in blocks
    for name in quantized:
        assert sizes[name.replace("_quantized", "_scale")] == [sizes[name][1]]


def test_full_precision_stays_what_it_is_fused_or_not(
    graph: Path, fused: Path, feeds: list[Feeds], tmp_path: Path
) -> None:
    for recipe, right in zip((FP32, FP32_FUSED), (graph, fused), strict=True):
        made = make(recipe, right, tmp_path / "made.onnx")
        assert error(right, made, feeds) == 0
    assert 0 < error(graph, fused, feeds) < 1e-4


def test_smoothing_and_blocks_come_nearer_to_the_reference(
    graph: Path, fused: Path, feeds: list[Feeds], tmp_path: Path
) -> None:
    errors = [
        error(fused, candidate(named(name), graph, fused, tmp_path / "made.onnx", feeds), feeds)
        for name in ("int8", "int8 smoothed", "int8 in blocks")
    ]
    assert max(errors[1:]) < errors[0]


def test_fixed_ranges_leave_nothing_to_look_for_at_run_time(
    graph: Path, fused: Path, feeds: list[Feeds], tmp_path: Path
) -> None:
    static = candidate(
        named("int8 smoothed, static"), graph, fused, tmp_path / "static.onnx", feeds
    )
    assert "DynamicQuantizeLinear" not in kinds(static)
    assert "QuantizeLinear" in kinds(static)
    together = {name: np.concatenate([feeds[0][name]] * 3) for name in feeds[0]}
    session = open_session(static, threads=1, device="cpu")
    names = [node.name for node in session.get_inputs()]
    (rows,) = session.run(None, {name: together[name] for name in names})
    np.testing.assert_allclose(rows, logits(static, feeds[:1])[[0, 0, 0]], atol=1e-5)


def test_smoothing_alone_changes_nothing_but_rounding(
    fused: Path, feeds: list[Feeds], tmp_path: Path
) -> None:
    model = onnx.load(fused)
    before = len(model.graph.node)
    smooth(model, feeds, tmp_path / "observed.onnx")
    assert len(model.graph.node) - before == 8  # four products in each of two layers
    onnx.save(model, tmp_path / "smooth.onnx")
    np.testing.assert_allclose(
        logits(tmp_path / "smooth.onnx", feeds), logits(fused, feeds), rtol=1e-3, atol=1e-3
    )


def test_the_products_with_outliers_are_the_most_sensitive(
    fused: Path, feeds: list[Feeds], tmp_path: Path
) -> None:
    order = most_sensitive(onnx.load(fused), feeds, tmp_path / "observed.onnx")
    assert len(order) == 6  # three products besides attention in each of two layers
    assert "intermediate" in order[0]  # what reads a layer norm's output


def test_the_first_texts_are_as_many_as_have_the_tokens_that_are_tried(feeds: list[Feeds]) -> None:
    lengths = [feed["input_ids"].size for feed in feeds]
    assert first_tokens(feeds, sum(lengths[:3])) == feeds[:3]
    assert first_tokens(feeds, sum(lengths[:3]) + 1) == feeds[:4]
    assert first_tokens(feeds, sum(lengths) + 1) == feeds


def test_tensors_are_observed_in_the_order_of_the_texts(
    fused: Path, feeds: list[Feeds], tmp_path: Path
) -> None:
    model = onnx.load(fused)
    name = matmuls(model.graph)[0].input[0]
    found: list[NDArray[np.float32]] = []
    observe(model, [name], feeds, tmp_path / "observed.onnx", lambda _, value: found.append(value))
    with with_observed_outputs(model, [name], tmp_path / "observed.onnx") as run:
        right = [run(feed)[0] for feed in feeds]
    assert len(found) == len(feeds)
    for value, other in zip(found, right, strict=True):
        np.testing.assert_array_equal(value, other.reshape(value.shape))


@pytest.mark.parametrize("of_fused", [True, False])
def test_a_table_of_rows_with_their_own_scales_is_nearly_the_table(
    graph: Path, fused: Path, feeds: list[Feeds], tmp_path: Path, of_fused: bool
) -> None:
    exact = fused if of_fused else graph
    model = onnx.load(exact)
    assert embedding_tables.quantize_tables(model.graph) == 0  # too small to be worth it
    assert embedding_tables.quantize_tables(model.graph, min_bytes=1000) >= 1
    onnx.save(model, tmp_path / "made.onnx")
    types = {tensor.name: tensor.data_type for tensor in model.graph.initializer}
    tables_read = [node.input[0] for node in model.graph.node if node.op_type == "Gather"]
    assert onnx.TensorProto.INT8 in map(types.get, tables_read)
    assert 0 < error(exact, tmp_path / "made.onnx", feeds) < 0.03


@pytest.mark.parametrize("name", ["DistilBert", "Electra"])
def test_tables_are_quantized_with_token_types_and_without(tmp_path: Path, name: str) -> None:
    (architecture,) = [one for one in ZOO if one.name == name]
    folder = classifier_of(tmp_path / "source", architecture)
    source = read_as(TransformersSource, folder, Task.TEXT_CLASSIFICATION)
    plain_graph = plain(source, export(source, tmp_path / "exported"), tmp_path / "plain.onnx")
    exact = fuse(source, plain_graph, tmp_path / "fused.onnx")
    model = onnx.load(exact)
    assert "EmbedLayerNormalization" in kinds(exact)
    assert embedding_tables.quantize_tables(model.graph, min_bytes=1000) >= 1
    assert "EmbedLayerNormalization" not in {node.op_type for node in model.graph.node}
    lookups = {node.input[0] for node in model.graph.node if node.op_type == "Gather"}
    words = len(SPECIAL) + len(WORDS)
    of_words = [t for t in model.graph.initializer if t.name in lookups and t.dims[0] == words]
    assert len(of_words) == 2  # one table and its scales, however often it is read
    onnx.save(model, tmp_path / "made.onnx")
    feeds = feeds_of(source, [PredictRequest(inputs=(text,)) for text in TEXTS])
    assert 0 < error(exact, tmp_path / "made.onnx", feeds) < 0.1


def test_a_recipe_gives_the_same_bytes_twice(
    graph: Path, fused: Path, feeds: list[Feeds], tmp_path: Path
) -> None:
    for recipe in INT8:
        first, second = (
            candidate(recipe, graph, fused, tmp_path / name, feeds).read_bytes()
            for name in ("1", "2")
        )
        assert first == second
