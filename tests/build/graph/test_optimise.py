"""A graph's bytes, and so an artefact's digest, do not depend on what the process did before it optimised it."""

import platform
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from build.graph.optimise import EXTENDED, optimise
from build.kernels.libraries import libraries
from functions.inference.session import open_session
from tests.build.kernels.layers import Layer, opened

SHAPE = [2, 4]


@pytest.fixture
def graph(tmp_path: Path) -> Path:
    """Save a choice between two branches, of which one has an operator of ONNX Runtime's own."""

    def branch(name: str, operator: str, domain: str) -> onnx.GraphProto:
        out = helper.make_tensor_value_info(name, TensorProto.FLOAT, SHAPE)
        return helper.make_graph(
            [helper.make_node(operator, ["x"], [name], domain=domain)], name, [], [out]
        )

    chosen = helper.make_node(
        "If",
        ["choice"],
        ["y"],
        then_branch=branch("gelu", "Gelu", "com.microsoft"),
        else_branch=branch("tanh", "Tanh", ""),
    )
    model = helper.make_model(
        helper.make_graph(
            [helper.make_node("Add", ["in", "one"], ["x"]), chosen],
            "choice",
            [
                helper.make_tensor_value_info("in", TensorProto.FLOAT, SHAPE),
                helper.make_tensor_value_info("choice", TensorProto.BOOL, []),
            ],
            [helper.make_tensor_value_info("y", TensorProto.FLOAT, SHAPE)],
            [numpy_helper.from_array(np.ones(SHAPE, np.float32), "one")],
        ),
        opset_imports=[helper.make_opsetid("", 18), helper.make_opsetid("com.microsoft", 1)],
        ir_version=9,
    )
    path = tmp_path / "graph.onnx"
    onnx.save(model, path)
    return path


def test_an_optimised_graph_imports_the_domains_of_its_operators_alone(graph: Path) -> None:
    optimised = graph.with_name("optimised.onnx")
    optimise(graph, optimised, EXTENDED)
    imports = onnx.load(optimised).opset_import
    assert {one.domain: one.version for one in imports} == {"": 18, "com.microsoft": 1}
    feeds = {"in": np.zeros(SHAPE, np.float32), "choice": np.asarray(True)}
    (out,) = open_session(optimised, threads=1, device="cpu").run(None, feeds)
    assert np.allclose(out, 0.8413447)  # GELU of 1


@pytest.mark.foreign
def test_a_graph_is_optimised_to_the_same_bytes_once_operators_of_our_own_are_loaded(
    graph: Path,
) -> None:
    before, after = graph.with_name("before.onnx"), graph.with_name("after.onnx")
    optimise(graph, before, EXTENDED)
    opened(Layer.drawn(heads=2, head=16, inner=48, seed=1).graph(), libraries()[platform.machine()])
    optimise(graph, after, EXTENDED)
    assert after.read_bytes() == before.read_bytes()
