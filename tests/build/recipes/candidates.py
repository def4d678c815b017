"""Candidates of an encoder, made from its graphs."""

import tempfile
from collections.abc import Sequence
from pathlib import Path

from build.recipes.encoder import calibrate, make, make_calibrated
from build.recipes.recipe import EncoderRecipe
from functions.inference.token_batches import Feeds


def candidate(
    recipe: EncoderRecipe, plain: Path, fused: Path, destination: Path, feeds: Sequence[Feeds]
) -> Path:
    """Return the path of the recipe's graph, calibrated on the feeds if the recipe is calibrated."""
    if not recipe.calibrated:
        return make(recipe, fused if recipe.fused else plain, destination)
    with tempfile.TemporaryDirectory() as calibrated:
        calibrate(fused, Path(calibrated), feeds)
        return make_calibrated(recipe, Path(calibrated), destination)
