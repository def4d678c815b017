"""ONNX files that are refused: data outside of their folder, unknown operators, no outputs of the task."""

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from build.sources.readers import inspect
from contracts.specs import SourceOptions
from contracts.tasks import Task
from tests.fixtures.models.tiny_bert import LABELS
from tests.fixtures.problems import assert_problems


def assert_refused(path: Path, code: str, *texts: str) -> None:
    """Check that the graph is refused with one problem that has this code and these texts."""
    source, problems = inspect(path, Task.TEXT_CLASSIFICATION, None, SourceOptions(labels=LABELS))
    assert source is None
    assert_problems(problems, (code, path, *texts))


def external(folder: Path, location: str, *, length: int = 16) -> Path:
    """Return an ONNX file whose one weight lies at a location outside of it."""
    folder.mkdir()
    tensor = numpy_helper.from_array(np.zeros(4, np.float32), "w")
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    for key, value in (("location", location), ("offset", "0"), ("length", str(length))):
        tensor.external_data.add(key=key, value=value)
    inputs = [helper.make_tensor_value_info("input_ids", TensorProto.INT64, ["b", "t"])]
    output = [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["b", 3])]
    node = helper.make_node("Identity", ["w"], ["y"])
    graph = helper.make_graph([node], "g", inputs, output, [tensor])
    path = folder / "model.onnx"
    path.write_bytes(helper.make_model(graph).SerializeToString())
    (folder / "tokenizer.json").write_text("{}", "utf-8")
    return path


@pytest.mark.parametrize(
    ("location", "problem"),
    [
        ("../secret.bin", ("file_outside", "w at '../secret.bin'", "outside of its folder")),
        ("/etc/passwd", ("file_outside", "w at '/etc/passwd'", "outside of its folder")),
        ("", ("file_outside", "w at ''", "outside of its folder")),
        ("link.bin", ("file_outside", "w at 'link.bin'", "outside of its folder")),
        ("weights.bin", ("file_missing", "w in weights.bin", "copy it too")),
        ("short.bin", ("file_damaged", "short.bin", "copy it again")),
    ],
)
def test_external_data_are_read_from_the_folder_and_nowhere_else(
    tmp_path: Path, location: str, problem: tuple[str, ...]
) -> None:
    (tmp_path / "secret.bin").write_bytes(bytes(16))
    path = external(tmp_path / "graph", location)
    (path.parent / "link.bin").symlink_to(tmp_path / "secret.bin")
    (path.parent / "short.bin").write_bytes(bytes(3))
    assert_refused(path, *problem)


@pytest.mark.parametrize("entry", [{"offset": "-16"}, {"offset": "abc"}, {"length": "-1"}])
def test_places_of_external_data_are_whole_numbers(tmp_path: Path, entry: dict[str, str]) -> None:
    path = external(tmp_path / "graph", "weights.bin")
    (path.parent / "weights.bin").write_bytes(bytes(64))
    model = onnx.load(path, load_external_data=False)
    entries = {e.key: e.value for e in model.graph.initializer[0].external_data} | entry
    del model.graph.initializer[0].external_data[:]
    for key, value in entries.items():
        model.graph.initializer[0].external_data.add(key=key, value=value)
    path.write_bytes(model.SerializeToString())
    assert_refused(path, "file_damaged", "whole numbers from 0 up", "export it again")


@pytest.mark.parametrize("version", [None, 99])
def test_a_graph_of_unknown_operators_is_refused(tmp_path: Path, version: int | None) -> None:
    path = external(tmp_path / "graph", "weights.bin")
    model = onnx.load(path, load_external_data=False)
    del model.opset_import[:]
    if version:
        model.opset_import.append(helper.make_opsetid("", version))
    path.write_bytes(model.SerializeToString())
    found = f"operator set {version}" if version else "no operator set"
    assert_refused(path, "format_unsupported", f"{found}; 1 to ")


def test_an_operator_that_nobody_has_is_named(tmp_path: Path) -> None:
    path = external(tmp_path / "graph", "weights.bin")
    model = onnx.load(path, load_external_data=False)
    model.graph.node[0].domain = "strange"
    path.write_bytes(model.SerializeToString())
    assert_refused(path, "operator_unsupported", "strange.Identity", "ONNX Runtime")


def test_a_graph_that_answers_nothing_is_refused(tmp_path: Path) -> None:
    path = external(tmp_path / "graph", "weights.bin")
    model = onnx.load(path, load_external_data=False)
    del model.graph.output[:]
    path.write_bytes(model.SerializeToString())
    assert_refused(path, "outputs_unsupported", "model.onnx has no outputs", "export it again")


def test_external_data_of_a_node_or_an_inner_graph_are_checked_as_well(tmp_path: Path) -> None:
    path = external(tmp_path / "graph", "../secret.bin")
    model = onnx.load(path, load_external_data=False)
    (tensor,) = model.graph.initializer
    inner = helper.make_graph(
        [helper.make_node("Identity", ["w"], ["v"])], "inner", [], [], [tensor]
    )
    for node in (
        helper.make_node("Constant", [], ["w"], value=tensor),
        helper.make_node("If", ["c"], ["w"], then_branch=inner, else_branch=inner),
    ):
        changed = onnx.ModelProto()
        changed.CopyFrom(model)
        del changed.graph.initializer[:]
        changed.graph.node.insert(0, node)
        path.write_bytes(changed.SerializeToString())
        assert_refused(path, "file_outside", "outside of its folder")
