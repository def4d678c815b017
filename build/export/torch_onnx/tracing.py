"""Tracing: a torch module as an ONNX graph, compared with the module on inputs of other sizes than it was traced with.

A trace fixes what the module decides by its inputs, such as a loop over the texts of a batch. The comparison finds it.
"""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from build.errors import one_line
from build.export.torch_onnx import deferred
from build.graph.opset import OPSET
from functions.inference.session import open_session

# The names of the open axes of a tensor, by their place.
Axes = Mapping[int, str]
Feed = Mapping[str, torch.Tensor]
# The largest difference between graph and module, as a share of the largest number: sums have another order.
TOLERANCE = 1e-3


class Differs(Exception):
    """A graph that does not compute what its module does."""


def trace(
    module: torch.nn.Module,
    example: Feed,
    outputs: Sequence[str],
    axes: Mapping[str, Axes],
    path: Path,
) -> None:
    """Write the module as ONNX to `path`; it takes the example's tensors in their order and returns the outputs.

    The exporter is the one that traces (TorchScript). Its successor, which is chosen by `dynamo`, takes 10 to 40 times
    as long, and leaves graphs in which ONNX Runtime's optimiser finds fewer of its patterns.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    deferred.export(
        module,
        tuple(example.values()),
        path,
        inputs=list(example),
        outputs=outputs,
        axes=axes,
        opset=OPSET,
    )


def compare(module: torch.nn.Module, path: Path, feeds: Iterable[Feed]) -> None:
    """Raise Differs unless the graph returns for each of the feeds what the module does."""
    session = open_session(path, threads=1, device="cpu")
    # The exporter drops inputs that the module does not read.
    names = {node.name for node in session.get_inputs()}
    for feed in feeds:
        with torch.inference_mode():
            expected = [tensor.numpy() for tensor in module(*feed.values())]
        shapes = ", ".join(f"{name} {list(tensor.shape)}" for name, tensor in feed.items())
        try:
            found = session.run(None, {k: v.numpy() for k, v in feed.items() if k in names})
        except Exception as error:  # ONNX Runtime documents no type
            raise Differs(f"the graph cannot be run on {shapes} ({one_line(error)})") from error
        for output, right, value in zip(session.get_outputs(), expected, found, strict=True):
            if right.shape != value.shape:
                raise Differs(f"{output.name} is {list(value.shape)}, not {list(right.shape)}")
            if np.abs(right - value).max() > TOLERANCE * max(np.abs(right).max(), 1):
                raise Differs(f"{output.name} differs from what torch computes of {shapes}")


def example_ids(texts: int, tokens: int, vocabulary: int) -> Any:
    """Return token ids [texts, tokens] that repeat late, so that no two positions are alike."""
    return (torch.arange(texts * tokens).reshape(texts, tokens) * 7 + 5) % vocabulary
