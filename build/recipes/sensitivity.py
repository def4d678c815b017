"""Sensitivity analysis: which MatMuls lose most by int8, measured one by one on the user's rows."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from build.graph.edit import Floats, constants, matmuls
from build.graph.observe import observe
from build.graph.tensors import array_of
from functions.inference.token_batches import Feeds

# Tokens that one MatMul is tried on, which bounds the memory that this takes.
MAX_TOKENS = 512
TINY = 1e-12


def most_sensitive(model: Any, feeds: Sequence[Feeds], scratch: Path) -> list[str]:
    """Return the outputs of all MatMuls with a constant matrix, the one with the largest relative error first.

    The error is that of int8 with one range for the activations and one scale per column of the weights, as a share of
    the norm of the output. `scratch` is the path of a temporary file.
    """
    nodes = matmuls(model.graph, ("MatMul",))
    inputs: dict[str, Floats] = {}

    def keep(name: str, value: Floats) -> None:
        before = inputs.get(name, value[:0])
        if len(before) < MAX_TOKENS:
            inputs[name] = np.concatenate([before, value])[:MAX_TOKENS]

    few = first_tokens(feeds, MAX_TOKENS)
    observe(model, sorted({node.input[0] for node in nodes}), few, scratch, keep)
    weights = constants(model.graph)
    errors = {
        node.output[0]: _relative_error(inputs[node.input[0]], array_of(weights[node.input[1]]))
        for node in nodes
    }
    return sorted(errors, key=lambda name: -errors[name])


def first_tokens(feeds: Sequence[Feeds], tokens: int) -> Sequence[Feeds]:
    """Return the first feeds that have so many tokens together, or all of them."""
    counts = np.cumsum([feed["input_ids"].size for feed in feeds])
    return feeds[: int(np.searchsorted(counts, tokens)) + 1]


def _relative_error(activations: Floats, matrix: Floats) -> float:
    exact = activations @ matrix
    low, high = min(0.0, float(activations.min())), max(0.0, float(activations.max()))
    step = max((high - low) / 255, TINY)
    # 7 bits are what the limit on saturation leaves at worst, see `build.recipes.saturation`.
    scales = np.maximum(np.abs(matrix).max(axis=0), TINY) / 63
    rounded = (np.rint(activations / step) * step) @ (np.rint(matrix / scales) * scales)
    return float(np.linalg.norm(rounded - exact) / max(float(np.linalg.norm(exact)), TINY))
