"""Which products lose most by being quantized: measured on the user's rows, product by product."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from onnx import numpy_helper

from build.graph.edit import Floats, constants, matmuls
from build.graph.observe import observe
from functions.inference.tokens import Feeds

# Rows of activations that one product is tried on.
TRIED = 512


def most_sensitive(model: Any, feeds: Sequence[Feeds], place: Path) -> list[str]:
    """The outputs of all MatMul with a constant matrix, the one with the largest relative error first.

    The error is that of dynamic INT8 with one range for the input and one scale per column of the weights, as a share
    of the product's own size.
    """
    nodes = matmuls(model.graph, ("MatMul",))
    seen: dict[str, Floats] = {}

    def see(name: str, value: Floats) -> None:
        before = seen.get(name, value[:0])
        if len(before) < TRIED:
            seen[name] = np.concatenate([before, value])[:TRIED]

    observe(model, sorted({node.input[0] for node in nodes}), feeds, place, see)
    weights = constants(model.graph)
    errors = {
        node.output[0]: _error(
            seen[node.input[0]],
            numpy_helper.to_array(weights[node.input[1]]),
        )
        for node in nodes
    }
    return sorted(errors, key=lambda name: -errors[name])


def _error(rows: Floats, matrix: Floats) -> float:
    exact = rows @ matrix
    low, high = min(0.0, float(rows.min())), max(0.0, float(rows.max()))
    step = max((high - low) / 255, 1e-12)
    scales = np.maximum(np.abs(matrix).max(axis=0), 1e-12) / 63
    inexact = (np.rint(rows / step) * step) @ (np.rint(matrix / scales) * scales)
    return float(np.linalg.norm(inexact - exact) / max(float(np.linalg.norm(exact)), 1e-12))
