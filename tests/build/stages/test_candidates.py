"""A candidate that its runtime cannot open is passed over, with the runtime's own words."""

from dataclasses import replace
from pathlib import Path

import onnx
import pytest
from onnx import helper

from build import api
from build.workspace.runtimes import openvino_version
from contracts.specs import SourceOptions
from contracts.tasks import Runtime
from tests.fixtures.models.tiny_bare import bare
from tests.fixtures.models.tiny_bert import CPU, LABELS, deployment, texts, write_rows
from tests.fixtures.problems import raises

pytestmark = [
    pytest.mark.foreign,
    pytest.mark.skipif(not openvino_version(), reason="`make openvino`"),
]


def test_a_graph_that_openvino_cannot_open_is_named_with_its_reason(tmp_path: Path) -> None:
    """By an operator for trees and the like, which ONNX Runtime has."""
    source = bare(tmp_path / "bare")
    model = onnx.load(source / "model.onnx")
    model.opset_import.append(helper.make_opsetid("ai.onnx.ml", 3))
    model.graph.node[-1].output[0] = "mean"
    unit = {"offset": [0.0], "scale": [1.0]}
    model.graph.node.append(
        helper.make_node("Scaler", ["mean"], ["answer"], domain="ai.onnx.ml", **unit)
    )
    onnx.save(model, source / "model.onnx")
    rows = write_rows(tmp_path / "rows.jsonl", [{"text": text} for text in texts(12)])
    on_openvino = replace(CPU, runtime=Runtime.OPENVINO)
    settings = deployment(
        source, rows, gpu=None, cpu=on_openvino, source_options=SourceOptions(labels=LABELS)
    )
    with raises("gate_failed", "OpenVINO cannot open it", "Scaler"):
        api.run(api.plan(settings, tmp_path / "models.out"), tmp_path / "models.out")
