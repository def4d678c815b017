"""Graphs as files: in one piece, or with their constants in a file beside them where one piece cannot hold these.

ONNX is written as protobuf, which holds 2 GiB: https://onnx.ai/onnx/repo-docs/ExternalData.html
"""

import math
from pathlib import Path
from typing import Any

import onnx
from onnx import helper
from onnx.external_data_helper import load_external_data_for_model

# What is left is for the nodes.
MOST_BYTES = (1 << 31) - (1 << 24)
# Constants that are smaller stay in the graph.
BESIDE_BYTES = 1024


def save(model: Any, path: Path, most: int = MOST_BYTES) -> None:
    """Write the model to `path`, and its constants to `path`.data where they are more than `most` bytes.

    What was at either place before is gone. The model stays as it was.
    """
    beside = beside_of(path)
    beside.unlink(missing_ok=True)
    if constant_bytes(model.graph) <= most:
        onnx.save(model, path)
        return
    onnx.save(
        model,
        path,
        save_as_external_data=True,
        location=beside.name,
        size_threshold=BESIDE_BYTES,
    )
    load_external_data_for_model(model, str(path.parent))  # it was left without what was written
    for tensor in model.graph.initializer:
        tensor.ClearField("data_location")


def beside_of(path: Path) -> Path:
    """Where the constants of a graph are that do not fit into its file."""
    return path.with_name(f"{path.name}.data")


def constant_bytes(graph: Any) -> int:
    """How many bytes the graph's constants take."""
    return sum(
        math.prod(tensor.dims) * helper.tensor_dtype_to_np_dtype(tensor.data_type).itemsize
        for tensor in graph.initializer
    )
