"""Layers and weights as `turnout inspect` reports them and writes them for TensorBoard."""

import json
import struct
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from build import api
from build.exported_graphs import export_graphs, graph_pairs
from build.families.reference import feeds_of
from build.families.registry import family_of
from build.graph.edit import MATMULS
from build.inspection.layers import closest_reference, compare
from build.proof.golden import read_golden
from build.recipes.dequantize import weights
from build.recipes.embedding_tables import quantize_tables
from build.recipes.encoder import INT8
from build.recipes.recipe import EncoderRecipe, WeightFormat
from build.recipes.weight_only import weight_only
from build.sources.source import TransformersSource
from build.tasks.registry import TASKS
from build.workspace.cache import FOLDER, Cache
from contracts.tasks import Task
from functions.inference.session import open_session
from tests.fixtures.inspected import CPU, GPU, built, inspect, pair_of, step_of
from tests.fixtures.models.tiny_bert import deployment, write_rows
from tests.fixtures.models.tiny_decoders import PROMPTS, gpt2, llama, t5
from tests.fixtures.models.tiny_gguf import write_gguf
from tests.fixtures.problems import assert_names, raises
from turnout.inspecting import CannotInspect


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a quantized classifier, and it in full precision."""
    return built(tmp_path_factory.mktemp("home"), CPU, GPU, timed=True)


def test_layers_are_reported_from_the_worst_on(home: Path) -> None:
    document = json.loads(inspect(home, "--layers", "--json").stdout)
    found = [layer["sqnr_db"] for layer in document["layers"]]
    ratios = [ratio for ratio in found if ratio is not None]
    assert len(ratios) > 12
    # A layer whose outputs are identical has no ratio, and comes last.
    assert found == sorted(ratios) + [None] * (len(found) - len(ratios))
    assert 10 < found[0] < 60
    assert all(0.9 < layer["cosine"] <= 1 for layer in document["layers"])
    assert (document["unmatched"], document["reference"]) == (0, {"model": "fused"})
    text = " ".join(inspect(home, "--layers").stdout.split())
    assert f"of {len(found)} layers on 32 golden rows" in text
    assert document["layers"][0]["tensor"] in text


def test_the_ratio_is_the_one_of_onnx_runtimes_debugger(home: Path) -> None:
    from onnxruntime.quantization import qdq_loss_debug

    pair, step = pair_of(home), step_of(home)
    assert isinstance(step.source, TransformersSource)
    golden = read_golden(home / "models.out/tiny/cpu")
    found = compare([pair], step.source, golden)
    (logits,) = [layer for layer in found.layers if layer.tensor == "logits"]
    sides = []
    for path in (pair.exported, pair.built):
        session = open_session(path, threads=1, device="cpu")
        names = [node.name for node in session.get_inputs()]
        sides.append(
            [
                session.run(["logits"], {name: feed[name] for name in names})[0]
                for feed in feeds_of(step.source, [row.request for row in golden])
            ]
        )
    ratio = qdq_loss_debug.compute_signal_to_quantization_noice_ratio(*sides)
    assert logits.sqnr_db == pytest.approx(ratio, abs=0.05)


def test_full_precision_is_all_but_the_same_in_every_layer(home: Path) -> None:
    document = json.loads(inspect(home, "--layers", "--tier", "gpu", "--json").stdout)
    assert document["layers"]
    assert all(layer["sqnr_db"] is None or layer["sqnr_db"] > 80 for layer in document["layers"])


def test_a_layer_that_was_damaged_is_where_the_error_begins(home: Path, tmp_path: Path) -> None:
    pair, step = pair_of(home), step_of(home)
    model = onnx.load(pair.exported)
    product = next(n for n in model.graph.node if "layer.1/intermediate/dense/MatMul" in n.name)
    (weight,) = [t for t in model.graph.initializer if t.name == product.input[1]]
    changed = numpy_helper.to_array(weight) * np.float32(1.1)
    weight.CopyFrom(numpy_helper.from_array(changed, weight.name))
    onnx.save(model, tmp_path / "model.onnx")
    damaged = replace(pair, built=tmp_path / "model.onnx", others=())
    found = compare([damaged], step.source, read_golden(home / "models.out/tiny/cpu"))
    ratios = {layer.tensor: layer.sqnr_db for layer in found.layers}
    assert ratios[product.output[0]] == pytest.approx(20, abs=0.1)  # a tenth of the signal is noise
    before = [ratio for tensor, ratio in ratios.items() if "layer.0" in tensor]
    assert before
    assert set(before) == {None}
    after = [ratio for tensor, ratio in ratios.items() if "layer.1/output" in tensor]
    assert None not in after


def gguf(path: Path) -> Path:
    return write_gguf(llama(path), path.with_suffix(".gguf"))


@pytest.mark.exhaustive(keep=1)
@pytest.mark.parametrize(
    ("make", "task", "graphs"),
    [
        (gpt2, Task.TEXT_GENERATION, {"model"}),
        (gguf, Task.TEXT_GENERATION, {"model"}),
        (t5, Task.TEXT2TEXT_GENERATION, {"encoder", "decoder"}),
    ],
)
def test_generators_are_compared_graph_by_graph(
    tmp_path: Path, make: Callable[[Path], Path], task: Task, graphs: set[str]
) -> None:
    source = make(tmp_path / make.__name__)
    rows = write_rows(tmp_path / "rows.jsonl", [{"text": text} for text in PROMPTS])
    out = tmp_path / "models.out"
    (step,) = api.plan(deployment(source, rows, task, cpu=None), out)
    api.run((step,), out, timed=False)
    references = export_graphs(step, Cache(out / FOLDER / "tiny"), lambda text: None)
    found = graph_pairs(references, out / "tiny/gpu")
    assert {pair.name for pair in found} == graphs
    compared = compare(found, step.source, read_golden(out / "tiny/gpu"))
    assert {layer.graph for layer in compared.layers} == graphs
    assert all(layer.sqnr_db is None or layer.sqnr_db > 80 for layer in compared.layers)
    other = replace(step.source, task=TASKS[Task.WORD_VECTORS])
    with raises("layers_not_comparable", "word-vectors"):
        compare(found, other, read_golden(out / "tiny/gpu"))
    model = onnx.load(found[0].built)
    unpacked = weights(model.graph)
    weight_only(WeightFormat.INT4)(model.graph)
    packed = weights(model.graph)
    assert len(packed) > 3
    for name, matrix in packed.items():
        assert np.abs(matrix - unpacked[name]).max() < 0.15 * np.abs(unpacked[name]).max()


def events(run: Path) -> Iterator[Any]:
    """Yield the events of a run, from records of a length, its checksum, an event and the checksum of that."""
    from tensorboardX.proto.event_pb2 import Event

    for path in sorted(run.glob("events.*")):
        data, place = path.read_bytes(), 0
        while place < len(data):
            (length,) = struct.unpack_from("<Q", data, place)
            event = Event()
            event.ParseFromString(data[place + 12 : place + 12 + length])
            place += 16 + length
            yield event


def test_tensorboard_is_given_graphs_weights_and_figures(home: Path, tmp_path: Path) -> None:
    from tensorboardX.proto.graph_pb2 import GraphDef

    board = tmp_path / "board"
    printed = json.loads(inspect(home, "--tensorboard", str(board), "--json").stdout)
    graphs, histograms = {}, {}
    for side in ("reference", "built"):
        found = list(events(board / side))
        (graphs[side],) = [GraphDef.FromString(e.graph_def) for e in found if e.graph_def]
        values = [value for event in found for value in event.summary.value]
        histograms[side] = {v.tag: v.histo for v in values if v.HasField("histo")}
    assert {node.op for node in graphs["built"].node} > {"Input", "Output", "QAttention"}
    assert "MatMul" in {node.op for node in graphs["reference"].node}
    for graph in graphs.values():
        names = [node.name for node in graph.node]
        assert len(names) == len(set(names))
        assert {name for node in graph.node for name in node.input} <= set(names)
    both = histograms["reference"].keys() & histograms["built"].keys()
    assert len(both) == len(histograms["reference"]) > 8
    for tag in both:
        one, other = histograms["reference"][tag], histograms["built"][tag]
        assert one.num == other.num
        assert other.max == pytest.approx(one.max, rel=0.05)
    evidence = json.loads((home / "models.out/tiny/evidence/cpu.json").read_text("utf-8"))
    assert printed["candidates"] == len(evidence["candidates"])
    runs = sorted(path.name for path in (board / "candidates").iterdir())
    assert len(runs) == len(evidence["candidates"])
    assert "int8_smoothed__static" in runs
    found = [v for e in events(board / "candidates/fp32") for v in e.summary.value]
    scalars = {v.tag: v.simple_value for v in found}
    first = evidence["candidates"][0]
    assert scalars["candidate/agreement"] == pytest.approx(first["agreement"])
    assert scalars["candidate/size_mb"] == pytest.approx(first["bytes"] / 1e6)
    steps = [
        event.step
        for event in events(board / "candidates/fp32")
        if any(value.tag == "latency/ms_by_tokens" for value in event.summary.value)
    ]
    assert steps == [int(tokens) for tokens in first["ms"]]
    again = inspect(home, "--tensorboard", str(board))
    assert isinstance(again.exception, CannotInspect)
    assert_names(str(again.exception), (board, "not empty"))


@pytest.mark.parametrize("recipe", INT8, ids=lambda recipe: recipe.name)
def test_weights_are_read_back_from_however_they_are_stored(
    home: Path, tmp_path: Path, recipe: EncoderRecipe
) -> None:
    pair, step = pair_of(home), step_of(home)
    family_of(step.source).make_alone(
        recipe, step.source, pair.exported.parent, step.rows, tmp_path
    )
    model = onnx.load(tmp_path / "model.onnx")
    if recipe.int8_tables:
        assert quantize_tables(model.graph, min_bytes=1)
    found = weights(model.graph)
    reference = weights(closest_reference(replace(pair, built=tmp_path / "model.onnx")).graph)
    assert reference.keys() <= found.keys()
    changed = 0
    for name, matrix in reference.items():
        far = np.abs(found[name] - matrix).max() / np.abs(matrix).max()
        assert far < 0.05
        changed += far > 0
    assert changed >= (8 if recipe.matmuls else 1)
    assert {"MatMul", "Attention"} == set(MATMULS)
