"""Encoders of every form: whose layers become one operator each and answer as in full precision, and why others not."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from build.export.fusion import fuse, plain
from build.export.to_onnx import export
from build.families.reference import feeds_of
from build.graph.edit import producers
from build.kernels.libraries import copy_libraries
from build.recipes.encoder import SMOOTHED, calibrate
from build.recipes.encoder_layers.fusing import OPERATOR, fuse_layers
from build.recipes.encoder_layers.matching import why_none
from build.sources.source import TransformersSource
from contracts.manifest import kernels_in
from contracts.prediction import PredictRequest
from contracts.tasks import Task
from functions.inference.session import open_session
from functions.inference.token_batches import Feeds
from tests.fixtures.models.sources import read_as
from tests.fixtures.models.tiny_bert import texts
from tests.fixtures.models.tiny_zoo import ZOO, Architecture, classifier_of

# Two heads of 16 columns each, the fewest that the operator takes.
HEADS = {"num_attention_heads": 2, "n_heads": 2}
BY_NAME = {one.name: one for one in ZOO}


def form(name: str, **config: Any) -> Any:
    """Return an architecture of the zoo with other settings, named by them."""
    one = BY_NAME[name]
    own = {k: v for k, v in HEADS.items() if k in one.config or k != "n_heads"}
    changed = replace(one, config={**one.config, **own, **config})
    return pytest.param(changed, id=" ".join([name, *map(str, config.values())]))


TAKEN = [
    *map(form, ("Bert", "Roberta", "XLMRoberta", "DistilBert", "Electra", "MPNet", "Albert")),
    *(form("Bert", hidden_act=a) for a in ("gelu_new", "gelu_pytorch_tanh", "relu", "silu")),
    form("Bert", hidden_size=96, intermediate_size=80),
    form("MPNet", hidden_size=128, num_attention_heads=2),
    form("DistilBert", activation="relu"),
]
LEFT = [
    (form("DebertaV2"), "not fused into one operator"),
    (form("ModernBert"), "Q and K are rotated"),
    (form("RoFormer"), "Q and K are rotated"),
    (form("Bert", hidden_act="mish"), "no attention and two products"),
    (form("Bert", num_attention_heads=4), "no multiples of 16"),
]


def fused_of(architecture: Architecture, folder: Path) -> tuple[TransformersSource, Path]:
    source = read_as(
        TransformersSource, classifier_of(folder / "source", architecture), Task.TEXT_CLASSIFICATION
    )
    path = plain(source, export(source, folder / "exported"), folder / "plain.onnx")
    return source, fuse(source, path, folder / "fused.onnx")


@pytest.mark.foreign
@pytest.mark.exhaustive(keep=2)
@pytest.mark.parametrize("architecture", TAKEN)
def test_layers_of_this_form_are_one_operator_each_and_answer_as_in_full_precision(
    architecture: Architecture, tmp_path: Path
) -> None:
    source, fused = fused_of(architecture, tmp_path)
    feeds = feeds_of(source, [PredictRequest(inputs=(text,)) for text in texts(24)])
    calibrate(fused, tmp_path, feeds)
    for graph in (onnx.load(fused), onnx.load(tmp_path / SMOOTHED)):
        assert why_none(graph) == ""
        assert fuse_layers(graph) == 2
        assert [node.op_type for node in graph.graph.node].count(OPERATOR) == 2
        assert "Attention" not in {node.op_type for node in graph.graph.node}
        onnx.save(graph, tmp_path / "model.onnx")
        copy_libraries(tmp_path)
        exact, made = logits(fused, feeds), logits(tmp_path / "model.onnx", feeds)
        assert np.sqrt(((made - exact) ** 2).mean() / exact.var()) < 0.1
    together = logits(tmp_path / "model.onnx", [padded(feeds)])
    assert np.allclose(together, made, rtol=1e-4, atol=1e-4)


@pytest.mark.build
@pytest.mark.exhaustive(keep=1)
@pytest.mark.parametrize(("architecture", "why"), [(each.values[0], why) for each, why in LEFT])
def test_a_form_that_the_operator_does_not_compute_is_left_as_it_is_and_told_why(
    architecture: Architecture, why: str, tmp_path: Path
) -> None:
    _, fused = fused_of(architecture, tmp_path)
    model = onnx.load(fused)
    before = model.SerializeToString()
    assert fuse_layers(model) == 0
    assert model.SerializeToString() == before
    assert why in why_none(model)


@pytest.mark.build
@pytest.mark.parametrize(("window", "taken"), [(20, False), (600, True)])
def test_a_window_of_attention_that_short_texts_do_not_show_is_noticed(
    window: int, taken: bool, tmp_path: Path
) -> None:
    """A token attends to those less than a window away, which a mask may hold together with padding."""
    mpnet = BY_NAME["MPNet"]
    wide = replace(mpnet, config={**mpnet.config, **HEADS, "max_position_embeddings": 520})
    _, fused = fused_of(wide, tmp_path)
    model = onnx.load(fused)
    assert why_none(model) == ""
    put_window(model.graph, window)
    assert (why_none(model) == "") == taken


def put_window(graph: Any, window: int) -> None:
    """Have each mask of padding hide from a token what is a window and more away."""
    made = {
        "zero_of_window": np.int64(0),
        "one_of_window": np.int64(1),
        "axis_of_window": np.array([1]),
        "window": np.int64(window),
        "near": np.float32(0),
        "far": np.float32(-1e9),
    }
    graph.initializer.extend(
        numpy_helper.from_array(np.asarray(value), name) for name, value in made.items()
    )
    node = helper.make_node
    nodes = [
        node("Shape", ["attention_mask"], ["shape_of_window"], start=1, end=2),
        node("Squeeze", ["shape_of_window"], ["tokens_of_window"]),
        node("Range", ["zero_of_window", "tokens_of_window", "one_of_window"], ["places"]),
        node("Unsqueeze", ["places", "axis_of_window"], ["column_of_places"]),
        node("Sub", ["column_of_places", "places"], ["signed"]),
        node("Abs", ["signed"], ["distances"]),
        node("Less", ["distances", "window"], ["within"]),
        node("Where", ["within", "near", "far"], ["hidden_by_window"]),
    ]
    [mask] = {n.input[3] for n in graph.node if n.op_type == "Attention"}
    padding = padding_of(producers(graph), mask)
    assert padding is not None
    nodes.append(node("Min", ["padding_alone", "hidden_by_window"], [padding.output[0]]))
    padding.output[0] = "padding_alone"
    place = list(graph.node).index(padding) + 1
    for offset, each in enumerate(nodes):
        graph.node.insert(place + offset, each)


def padding_of(made_by: Mapping[str, Any], name: str) -> Any | None:
    """Return the node that makes the padding of what is added to scores."""
    node = made_by.get(name)
    if node is None or node.op_type not in ("Add", "Expand"):
        return node if node is not None and node.op_type == "Where" else None
    # The second input of an Expand is a shape.
    added = node.input[:1] if node.op_type == "Expand" else node.input
    found = [padding_of(made_by, each) for each in added]
    return next((each for each in found if each is not None), None)


def padded(feeds: list[Feeds]) -> Feeds:
    """Return all texts as one batch."""
    widest = max(feed["input_ids"].shape[1] for feed in feeds)
    fill = {"input_ids": int(feeds[0]["input_ids"].min())}
    return {
        name: np.concatenate(
            [
                np.pad(
                    f[name],
                    ((0, 0), (0, widest - f[name].shape[1])),
                    constant_values=fill.get(name, 0),
                )
                for f in feeds
            ]
        )
        for name in feeds[0]
    }


def logits(model: Path, feeds: list[Feeds]) -> Any:
    session = open_session(model, threads=1, device="cpu", kernels=kernels_in(model.parent))
    names = [node.name for node in session.get_inputs()]
    return np.concatenate([session.run(None, {n: f[n] for n in names})[0] for f in feeds])
