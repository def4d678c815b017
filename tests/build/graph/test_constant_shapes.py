"""Shapes that an exporter computes at every run become constants, the same bytes in every process."""

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import onnx
import pytest
from onnx import TensorProto, helper

from build.graph.constant_shapes import fold_constant_shapes
from tests.fixtures.paths import ROOT

FOLD = """
import sys
from pathlib import Path
import onnx
from build.graph.constant_shapes import fold_constant_shapes
model = onnx.load(sys.argv[1])
fold_constant_shapes(model, Path(sys.argv[2]) / "observed.onnx")
onnx.save(model, Path(sys.argv[2]) / "folded.onnx")
"""


def ranks(count: int) -> onnx.ModelProto:
    """Return a graph that computes the rank of its input `count` times, by shapes alone."""
    nodes = [helper.make_node("Shape", ["input_ids"], ["shape"])]
    for i in range(count):
        nodes += [
            helper.make_node("Size", ["shape"], [f"rank{i}"]),
            helper.make_node("Add", ["input_ids", f"rank{i}"], [f"out{i}"]),
        ]
    sizes = ["batch_size", "sequence_length"]
    graph = helper.make_graph(
        nodes,
        "ranks",
        [helper.make_tensor_value_info("input_ids", TensorProto.INT64, sizes)],
        [helper.make_tensor_value_info(f"out{i}", TensorProto.INT64, sizes) for i in range(count)],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)


def test_what_follows_from_the_rank_of_an_input_becomes_a_constant(tmp_path: Path) -> None:
    model = ranks(2)
    fold_constant_shapes(model, tmp_path / "observed.onnx")
    assert [node.op_type for node in model.graph.node] == ["Add", "Add"]
    assert {tuple(onnx.numpy_helper.to_array(t).ravel()) for t in model.graph.initializer} == {(2,)}


@pytest.mark.slow
def test_constants_are_added_in_the_same_order_in_every_process(tmp_path: Path) -> None:
    onnx.save(ranks(12), tmp_path / "model.onnx")
    digests = set()
    for seed in ("0", "1"):
        (folder := tmp_path / seed).mkdir()
        subprocess.run(
            [sys.executable, "-c", FOLD, tmp_path / "model.onnx", folder],
            env={**os.environ, "PYTHONHASHSEED": seed},
            cwd=ROOT,
            check=True,
        )
        digests.add(hashlib.sha256((folder / "folded.onnx").read_bytes()).hexdigest())
    assert len(digests) == 1
