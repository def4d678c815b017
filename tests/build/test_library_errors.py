"""Errors of libraries over a source: they name it, and the next step."""

import errno
import os
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from build import api
from build.errors import BuildError, ExportFailed, GateFailed, SourceError
from build.library_errors import EXPORTING, RUNNING_REFERENCE, naming_source
from build.sources.readers import inspect
from build.sources.source import Source
from contracts.specs import SourceOptions
from contracts.tasks import Task
from tests.fixtures.models.tiny_bert import CPU, LABELS, classifier, deployment, write_rows
from tests.fixtures.problems import assert_names

pytestmark = pytest.mark.build


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return classifier(tmp_path_factory.mktemp("source") / "classifier") / "tokenizer.json"


@pytest.fixture(scope="module")
def source(tokenizer: Path) -> Source:
    found, _ = inspect(tokenizer.parent, Task.TEXT_CLASSIFICATION, None)
    assert found
    return found


def fail(source: Source, folder: Path, error: Exception) -> BuildError:
    with pytest.raises(BuildError) as caught, naming_source(source, folder, EXPORTING):
        raise error
    return caught.value


@pytest.mark.parametrize(
    ("error", "cause"),
    [
        (KeyError("w"), "(KeyError: 'w')"),
        (StopIteration(), "(StopIteration)"),
        (RuntimeError("\n first\nsecond"), "(RuntimeError: first)"),
        (MemoryError(), "more memory"),
        (RuntimeError("std::bad_alloc"), "more memory"),
    ],
    ids=["any", "no message", "many lines", "memory", "memory of a library"],
)  # fmt: skip
def test_an_error_of_a_library_names_the_source(
    source: Source, tmp_path: Path, error: Exception, cause: str
) -> None:
    found = fail(source, tmp_path, error)
    assert found.code == "export_failed"
    assert str(found).startswith(f"{source.path}: {EXPORTING.action} ")
    assert cause in str(found)
    assert found.__cause__ is error


def test_errors_of_ours_and_a_full_disk_pass_as_they_are(source: Source, tmp_path: Path) -> None:
    ours = GateFailed("no candidate")
    assert fail(source, tmp_path, ours) is ours
    full = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "model.onnx")
    with (
        pytest.raises(OSError) as caught,  # noqa: PT011 (it is compared by identity below)
        naming_source(source, tmp_path, RUNNING_REFERENCE),
    ):
        raise full
    assert caught.value is full


def graph(folder: Path, tokenizer: Path, nodes: list[onnx.NodeProto], takes: int) -> Path:
    """Return a graph of these nodes from `input_ids` to logits `y`, beside a tokenizer."""
    folder.mkdir()
    shutil.copy(tokenizer, folder)
    weights = numpy_helper.from_array(np.zeros((99, 3), np.float32), "w")
    inputs = [helper.make_tensor_value_info("input_ids", takes, ["b", "t"])]
    output = [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["b", 3])]
    made = helper.make_graph(nodes, "g", inputs, output, [weights])
    model = helper.make_model(made, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    path = folder / "model.onnx"
    path.write_bytes(model.SerializeToString())
    return path


NUMBERS = TensorProto.INT64
CAST = helper.make_node("Cast", ["input_ids"], ["x"], to=TensorProto.FLOAT)


@pytest.mark.parametrize(
    ("nodes", "takes"),
    [
        ([CAST, helper.make_node("MatMul", ["nowhere", "w"], ["y"])], NUMBERS),
        ([helper.make_node("Add", ["y", "y"], ["a"]), helper.make_node("Add", ["a", "w"], ["y"])], NUMBERS),
        ([CAST, helper.make_node("MatMul", ["x", "w"], ["y"])], TensorProto.STRING),
        ([CAST, helper.make_node("MatMul", ["x", "w"], ["y"])], NUMBERS),
    ],
    ids=["a dangling input", "a cycle", "texts", "a failure at run time"],
)  # fmt: skip
def test_a_graph_that_does_not_run_is_named_and_leaves_nothing(
    tokenizer: Path, tmp_path: Path, nodes: list[onnx.NodeProto], takes: int
) -> None:
    path = graph(tmp_path / "graph", tokenizer, nodes, takes)
    rows = write_rows(tmp_path / "rows.jsonl", [{"text": "a good film"}])
    options, cpu, out = SourceOptions(labels=LABELS), replace(CPU, max_tokens=8), tmp_path / "out"
    steps = api.plan(deployment(path, rows, cpu=cpu, gpu=None, source_options=options), out)
    with pytest.raises((ExportFailed, SourceError)) as caught:
        api.run(steps, out)
    assert_names(str(caught.value), (f"{path}: ", " failed ("))
    assert not (out / "tiny").exists()
