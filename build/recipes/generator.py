"""The recipes of generators: weights in blocks of 8 or 4 bits, activations in full precision."""

from build.recipes.recipe import GeneratorRecipe
from build.recipes.recipe import WeightFormat as Format

FULL = GeneratorRecipe(name="fp32")
SMALLER = (
    GeneratorRecipe(name="int8 weights", weights=Format.INT8, sensitive_weights=Format.INT8),
    # Narrow are the sensitive matrices: their inputs have outliers, which 8 bits lose most by.
    GeneratorRecipe(name="int8 weights, narrow as they are", weights=Format.INT8),
    GeneratorRecipe(name="int4 weights", weights=Format.INT4, sensitive_weights=Format.INT4),
    GeneratorRecipe(
        name="int4 weights, offsets",
        weights=Format.INT4_OFFSETS,
        sensitive_weights=Format.INT4_OFFSETS,
    ),
    GeneratorRecipe(
        name="int4 weights, offsets, narrow in 8",
        weights=Format.INT4_OFFSETS,
        sensitive_weights=Format.INT8,
    ),
)
