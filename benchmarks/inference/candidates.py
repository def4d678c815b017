"""Candidates of a build, made without one and calibrated as it does: they are measured beside what it chose."""

import shutil
from collections.abc import Sequence
from pathlib import Path

from benchmarks.contenders import Contender, Item
from benchmarks.contenders.candidates import folder_of
from benchmarks.contenders.tokens import arrays
from build.families.calibration import CALIBRATION_ROWS
from build.recipes.encoder import INT8, KERNELS, OPENVINO_INT8, calibrate, make_calibrated
from contracts.manifest import MODEL

SMOOTHED = next(recipe for recipe in INT8 if recipe.name == "int8 smoothed")
# By the function that opens each, in `benchmarks.contenders.candidates`.
RECIPES = {
    "smoothed": SMOOTHED,
    "kernels": KERNELS,
    "openvino": OPENVINO_INT8[0],
    "openvino_mixed": OPENVINO_INT8[1],
}


def opens(candidate: Contender) -> str:
    """Return the name of the recipe whose graph a contender opens."""
    return RECIPES[candidate.opens.split(":")[1]].name


def candidates_in(scratch: Path) -> bool:
    """Tell whether every candidate was made."""
    return all((folder_of(scratch, function) / MODEL).exists() for function in RECIPES)


def make_candidates(scratch: Path, items: Sequence[Item]) -> None:
    """Make every candidate anew of the exported graph; `items` are the rows that they are calibrated on."""
    shutil.rmtree(scratch / "candidates", ignore_errors=True)
    feeds = [arrays(item) for item in items]
    feeds = feeds[:: -(-len(feeds) // CALIBRATION_ROWS)]
    calibrate(scratch / "fused.onnx", scratch, feeds)
    for function, recipe in RECIPES.items():
        folder = folder_of(scratch, function)
        folder.mkdir(parents=True)
        make_calibrated(recipe, scratch, folder / MODEL)
