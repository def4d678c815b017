"""Vectors cut to fewer dimensions, as models of Matryoshka representation learning are trained for (arXiv:2205.13147).

The candidate's and the reference's are cut by the code that serves, and compared as whole vectors are.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from build.evaluation.comparison import Comparison, Figures
from build.evaluation.metrics import AllOutputs, Outputs
from build.evaluation.rows import Row
from contracts.manifest import Manifest
from contracts.specs import Gate
from functions.inference.tasks.feature_extraction import shortened

# Rounding of float32 leaves a vector that was divided by its length this near to a length of 1.
LENGTH_ROUNDING = 1e-4


def shorter_figures(
    comparison: Comparison,
    candidate: AllOutputs,
    reference: AllOutputs,
    rows: Sequence[Row],
    manifest: Manifest,
) -> dict[int, Figures]:
    """Return the figures of vectors by each of the manifest's fewer dimensions."""

    def cut(answers: AllOutputs, dimensions: int) -> list[Outputs]:
        return [_shortened(row, dimensions, normalize=manifest.normalize) for row in answers]

    return {
        number: comparison.measure(cut(candidate, number), cut(reference, number), rows)
        for number in manifest.shorter_dimensions
    }


def shorter_problems(figures: Mapping[int, Figures], gate: Gate) -> list[str]:
    """Return each figure below its threshold, with the dimensions at which it is."""
    return [
        f"at {number} dimensions, {problem}"
        for number, one in figures.items()
        for problem in one.problems(gate)
    ]


def no_shorter(dimensions: Sequence[int], reference: AllOutputs) -> str:
    """Return the problem of dimensions that the reference's vectors do not have more of; "" if they have."""
    have = max((len(o.get("embedding", ())) for outputs in reference for o in outputs), default=0)
    if found := [str(number) for number in dimensions if number >= have]:
        return f"{', '.join(found)} is not fewer than the {have} that the vectors have"
    return ""


def of_length_1(reference: AllOutputs) -> bool:
    """Return whether all vectors have a length of 1."""
    lengths = [np.linalg.norm(o["embedding"]) for outputs in reference for o in outputs]
    return bool(np.allclose(lengths, 1, rtol=0, atol=LENGTH_ROUNDING))


def _shortened(outputs: Outputs, dimensions: int, *, normalize: bool) -> Outputs:
    return tuple(
        {**output, "embedding": shortened(output["embedding"], dimensions, normalize=normalize)}
        for output in outputs
    )
