"""The output of one batch, split into its texts."""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from tokenizers import Encoding

from contracts.http_errors import ModelFailed
from contracts.manifest import Manifest
from functions.inference.tasks.head import TaskHead

if TYPE_CHECKING:
    from numpy.typing import NDArray


def rows_of(
    output: "NDArray[np.float32]", encodings: Sequence[Encoding], head: TaskHead, manifest: Manifest
) -> list[Any]:
    """Return the part of each text, without padding; a ModelFailed for each that is not finite."""
    if "mask_id" in manifest.details:
        # A fill-mask graph returns the logits of masked positions only: [masks of all texts, vocabulary].
        mask = manifest.details["mask_id"]
        counts = [encoding.ids.count(mask) for encoding in encodings]
        parts = np.split(output, np.cumsum(counts)[:-1])
        return [part if np.isfinite(part).all() else _not_finite() for part in parts]
    if head.output_rank == 2:
        rows: list[list[float]] = output.tolist()
        # The sum of finite numbers is finite, and one check is faster than one for each of them.
        return [row if math.isfinite(sum(row)) else _not_finite() for row in rows]
    left = "pad_left" in manifest.details
    trimmed = [
        row[-len(e) :] if left else row[: len(e)] for row, e in zip(output, encodings, strict=True)
    ]
    return [row if np.isfinite(row).all() else _not_finite() for row in trimmed]


def _not_finite() -> ModelFailed:
    return ModelFailed("the model answered with numbers that are not finite")
