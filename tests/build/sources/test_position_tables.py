"""The maximum length of a bare ONNX graph, from the rows of its position table."""

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import TensorProto, helper, numpy_helper

from build.export.to_onnx import export
from build.sources.position_tables import position_limit
from build.sources.source import GraphSource, TransformersSource
from contracts.specs import SourceOptions
from contracts.tasks import Task
from tests.fixtures.models.sources import assert_refused, in_one_file, read_as
from tests.fixtures.models.tiny_bare import bare
from tests.fixtures.models.tiny_bert import LABELS, POSITIONS
from tests.fixtures.models.tiny_zoo import ZOO, classifier_of

CLASSES, OPTIONS = Task.TEXT_CLASSIFICATION, SourceOptions(labels=LABELS)
# RoBERTa's table has two rows more than it reads tokens; its padding is token 1.
PADDINGS = {"Bert": 0, "Roberta": 1}


@pytest.fixture(scope="module", params=PADDINGS)
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a graph that transformers' own model was exported to, with its tokenizer and nothing else."""
    home = tmp_path_factory.mktemp(request.param)
    (architecture,) = [one for one in ZOO if one.name == request.param]
    source = read_as(TransformersSource, classifier_of(home / "source", architecture), CLASSES)
    export(source, home / "exported")
    folder: Path = home / request.param
    folder.mkdir()
    in_one_file(home / "exported/model.onnx", folder / "model.onnx")
    shutil.copyfile(source.tokenizer, folder / "tokenizer.json")
    return folder


def run(path: Path, length: int) -> Any:
    session = ort.InferenceSession(str(path))
    feeds = {node.name: np.ones((1, length), np.int64) for node in session.get_inputs()}
    return session.run(None, {**feeds, "input_ids": np.full((1, length), 7)})[0]


@pytest.mark.build
def test_the_table_s_rows_are_the_limit_where_nothing_else_is_given(folder: Path) -> None:
    assert read_as(GraphSource, folder, CLASSES, None, OPTIONS).max_tokens == POSITIONS
    assert read_as(GraphSource, folder, CLASSES, 16, OPTIONS).max_tokens == 16
    assert run(folder / "model.onnx", POSITIONS).shape == (1, len(LABELS))
    with pytest.raises(Exception, match=r"indices element out of data bounds|BroadcastIterator"):
        run(folder / "model.onnx", POSITIONS + 1)


@pytest.mark.build
def test_more_tokens_than_the_table_has_rows_for_are_refused(folder: Path) -> None:
    limit, given = f"{POSITIONS} tokens at most", f"max_tokens is {POSITIONS + 1}"
    problem = ("length_invalid", limit, given, "lower it")
    assert_refused(folder, problem, max_tokens=POSITIONS + 1, options=OPTIONS)


@pytest.mark.build
def test_a_table_whose_data_lie_in_a_file_of_their_own_is_read_too(
    folder: Path, tmp_path: Path
) -> None:
    shutil.copyfile(folder / "tokenizer.json", tmp_path / "tokenizer.json")
    model = onnx.load(folder / "model.onnx")
    onnx.save(
        model,
        tmp_path / "model.onnx",
        save_as_external_data=True,
        location="weights",
        size_threshold=0,
        convert_attribute=True,
    )
    assert read_as(GraphSource, tmp_path, CLASSES, None, OPTIONS).max_tokens == POSITIONS


@pytest.mark.build
def test_a_table_within_onnx_runtime_s_own_operator_is_found(folder: Path) -> None:
    from onnxruntime.transformers import optimizer

    model = optimizer.optimize_model(str(folder / "model.onnx"), "bert", opt_level=0).model
    inputs = {node.name: node.name for node in model.graph.input}
    assert position_limit(model, folder, inputs, PADDINGS[folder.name]) == POSITIONS


@pytest.mark.build
def test_a_graph_without_a_position_table_still_needs_max_tokens(tmp_path: Path) -> None:
    folder = bare(tmp_path / "bare")
    for name in ("config.json", "tokenizer_config.json"):
        (folder / name).unlink()
    assert_refused(
        folder, ("length_missing", "give max_tokens in its tier's table"), options=OPTIONS
    )
    assert read_as(GraphSource, folder, CLASSES, 1000, OPTIONS).max_tokens == 1000


def graph_of(*nodes: Any, **arrays: Any) -> Any:
    """Return a graph that looks rows up in `table` by what the nodes make of `tokens`, the length of the text."""
    length = [
        helper.make_node("Shape", ["input_ids"], ["shape"]),
        helper.make_node("Gather", ["shape", "one"], ["tokens"]),
    ]
    found = helper.make_node("Gather", ["table", "index"], ["rows"])
    graph = helper.make_graph(
        [*length, *nodes, found],
        "positions",
        [helper.make_tensor_value_info("input_ids", TensorProto.INT64, ["batch", "tokens"])],
        [helper.make_tensor_value_info("rows", TensorProto.FLOAT, None)],
        [
            numpy_helper.from_array(np.array(value), name)
            for name, value in {"zero": 0, "one": 1, **arrays}.items()
        ],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)


def limit_of(model: Any) -> int | None:
    return position_limit(model, Path(), {"input_ids": "input_ids"}, 0)


TABLE = np.zeros((20, 4), np.float32)
COUNT = helper.make_node("Range", ["zero", "tokens", "one"], ["count"])


def test_a_constant_of_positions_that_is_shorter_than_the_table_is_the_limit() -> None:
    first = helper.make_node("Slice", ["positions", "starts", "ends"], ["index"])
    axis = helper.make_node("Reshape", ["tokens", "shape_of_one"], ["ends"])
    arrays = {"starts": [0], "shape_of_one": [1], "positions": np.arange(18)}
    assert limit_of(graph_of(axis, first, table=TABLE, **arrays)) == 18


def test_distances_that_are_clipped_to_the_table_limit_nothing() -> None:
    clipped = helper.make_node("Min", ["count", "last"], ["index"])
    assert limit_of(graph_of(COUNT, clipped, table=TABLE, last=19)) is None
    assert limit_of(graph_of(COUNT, clipped, table=TABLE, last=10**6)) == 20


def test_an_index_that_would_take_much_memory_or_cannot_be_computed_limits_nothing() -> None:
    more = helper.make_node("Expand", ["count", "huge"], ["index"])
    assert limit_of(graph_of(COUNT, more, table=TABLE, huge=[1 << 40, 1])) is None
    same = helper.make_node("Identity", ["count"], ["index"])
    claimed = graph_of(COUNT, same, table=TABLE)
    assert limit_of(claimed) == 20
    claimed.graph.initializer[-1].dims[0] = 1 << 40
    assert limit_of(claimed) is None
    invalid = helper.make_node("Add", ["count", "three"], ["index"])
    assert limit_of(graph_of(COUNT, invalid, table=TABLE, three=[1, 2, 3])) is None
