"""The graph of a trace is what torch's own exporter writes, to the byte, though no weight passes through a message."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import onnx
import pytest
import torch

from build.export.torch_onnx import deferred
from build.export.torch_onnx.encoder import load
from build.graph.file import external_data_of
from build.graph.file import load as load_graph
from build.graph.opset import OPSET
from build.graph.tensors import is_stored, read_into_memory
from build.workspace.quiet import quiet
from tests.fixtures.models.tiny_bert import classifier

pytestmark = pytest.mark.build

AXES = {"ids": {0: "batch", 1: "tokens"}, "out": {0: "batch", 1: "tokens"}}


class Tied(torch.nn.Module):  # type: ignore[misc]
    """A head that is tied to its table, equal biases, a buffer, and weights that no output reads."""

    def __init__(self) -> None:
        super().__init__()
        self.table = torch.nn.Embedding(60, 24)
        self.layers = torch.nn.ModuleList(torch.nn.Linear(24, 24) for _ in range(2))
        for layer in self.layers:
            torch.nn.init.zeros_(layer.bias)
        self.unread = torch.nn.Linear(24, 99)
        self.register_buffer("scale", torch.arange(1.0, 25.0))

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        """Return a number for each word, for each token."""
        hidden = self.table(ids) / self.scale
        for layer in self.layers:
            hidden = torch.relu(layer(hidden))
        scores: torch.Tensor = hidden @ self.table.weight.T
        return scores


class First(torch.nn.Module):  # type: ignore[misc]
    """The first output of a model of transformers."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        """Return the logits."""
        logits: torch.Tensor = self.model(input_ids=ids, return_dict=False)[0]
        return logits


def bert(folder: Path) -> torch.nn.Module:
    return First(load("AutoModelForTokenClassification", classifier(folder / "bert")))


@pytest.mark.parametrize("make", [lambda folder: Tied(), bert], ids=["tied", "bert"])
def test_the_graph_is_that_of_torch(
    tmp_path: Path, make: Callable[[Path], torch.nn.Module]
) -> None:
    module = make(tmp_path).eval()
    ids = torch.tensor([[3, 1, 4, 1], [5, 9, 2, 6]])
    theirs, ours = tmp_path / "theirs.onnx", tmp_path / "ours.onnx"
    with quiet():
        torch.onnx.export(
            module,
            (ids,),
            str(theirs),
            input_names=["ids"],
            output_names=["out"],
            dynamic_axes=AXES,
            opset_version=OPSET,
            dynamo=False,
        )
        deferred.export(
            module, (ids,), ours, inputs=["ids"], outputs=["out"], axes=AXES, opset=OPSET
        )
    model = load_graph(ours)
    assert any(is_stored(tensor) for tensor in model.graph.initializer)
    assert external_data_of(ours).stat().st_size > 1024
    read_into_memory(model.graph.initializer)
    assert model.SerializeToString() == onnx.load(theirs).SerializeToString()


def test_an_exporter_that_fails_leaves_torch_ready_for_the_next(tmp_path: Path) -> None:
    class Broken(torch.nn.Module):  # type: ignore[misc]
        def forward(self, ids: torch.Tensor) -> torch.Tensor:
            """Raise what a model might."""
            raise ValueError("no such thing")

    ids = torch.tensor([[1, 2]])
    with pytest.raises(ValueError, match="no such thing"), quiet():
        deferred.export(
            Broken(), (ids,), tmp_path / "a", inputs=["ids"], outputs=["out"], axes={}, opset=OPSET
        )
    assert not torch.onnx.is_in_onnx_export()
