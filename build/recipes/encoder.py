"""The recipes of encoders, and the graphs that they make."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import onnx

from build.graph.edit import matmuls, remove_unused_constants
from build.graph.file import save
from build.recipes.block_int8 import quantize_block_wise
from build.recipes.dynamic_int8 import quantize
from build.recipes.embedding_tables import quantize_tables
from build.recipes.integer_matmul import fuse_integer_matmuls
from build.recipes.recipe import EncoderRecipe, Int8MatMuls
from build.recipes.saturation import reaches_all, requantize
from build.recipes.sensitivity import most_sensitive
from build.recipes.smoothquant import smooth
from build.recipes.static_ranges import fix_ranges
from functions.inference.token_batches import Feeds

FP32 = EncoderRecipe(name="fp32", fused=False)
FP32_FUSED = EncoderRecipe(name="fp32 fused")
INT8 = (
    # A single call of ONNX Runtime's quantizer gives this one; the others are for models that it changes too much.
    EncoderRecipe(name="int8 per tensor", matmuls=Int8MatMuls(per_channel=False)),
    EncoderRecipe(name="int8", int8_tables=True, matmuls=Int8MatMuls()),
    EncoderRecipe(name="int8 smoothed", int8_tables=True, matmuls=Int8MatMuls(smoothed=True)),
    *(
        EncoderRecipe(
            name=f"int8 smoothed, static{f', {count} in blocks' if count else ''}",
            int8_tables=True,
            matmuls=Int8MatMuls(smoothed=True, static=True, block_wise=count),
        )
        for count in (0, 4, 8)
    ),
    EncoderRecipe(
        name="int8 in blocks",
        int8_tables=True,
        matmuls=Int8MatMuls(smoothed=True, block_wise="all"),
    ),
    EncoderRecipe(name="int8 tables", int8_tables=True),
)


def make(
    recipe: EncoderRecipe, plain: Path, fused: Path, destination: Path, feeds: Sequence[Feeds]
) -> Path:
    """Write the candidate to `destination`; `feeds` are the rows of the user that it is calibrated on."""
    model = onnx.load(fused if recipe.fused else plain)
    if recipe.int8_tables:
        quantize_tables(model.graph)
    if recipe.matmuls is not None:
        model = _quantize_matmuls(recipe.matmuls, model, destination, feeds)
    return _finish(model, destination)


def keep(plain: Path, destination: Path) -> Path:
    """Write a graph that is quantized already to `destination`, its integer MatMuls fused and nothing else changed."""
    return _finish(onnx.load(plain), destination)


def _finish(model: Any, destination: Path) -> Path:
    fuse_integer_matmuls(model.graph)
    remove_unused_constants(model.graph)
    save(model, destination)
    return destination


def _quantize_matmuls(
    recipe: Int8MatMuls, model: Any, destination: Path, feeds: Sequence[Feeds]
) -> Any:
    scratch = destination.with_name(f"{destination.stem}-observed.onnx")
    # Smoothing comes first, because sensitivity is measured and ranges are fixed on the smoothed activations.
    if recipe.smoothed:
        smooth(model, feeds, scratch)
    if recipe.block_wise:
        quantize_block_wise(model.graph, _block_wise(recipe, model, feeds, scratch))
    # ONNX's own Attention has no weights, and the quantizer would take it for ONNX Runtime's, which has.
    operators = sorted({"MatMul", *(node.op_type for node in matmuls(model.graph))})
    # ONNX Runtime goes through the channels one by one, in Python; what `requantize` replaces needs none of that.
    one_by_one = recipe.per_channel and not reaches_all(model.graph, operators)
    quantized = quantize(model, destination, operators, per_channel=one_by_one)
    # Weights per channel are limited as well, so that they cannot saturate sums of 16 bits.
    if recipe.per_channel:
        requantize(quantized, model.graph)
    if recipe.static:
        fix_ranges(quantized, feeds, scratch)
    return quantized


def _block_wise(
    recipe: Int8MatMuls, model: Any, feeds: Sequence[Feeds], scratch: Path
) -> list[Any]:
    """Return the MatMuls that are quantized in blocks: all, or the most sensitive."""
    nodes = matmuls(model.graph, ("MatMul",))
    if recipe.block_wise == "all":
        return nodes
    picked = set(most_sensitive(model, feeds, scratch)[: recipe.block_wise])
    return [node for node in nodes if node.output[0] in picked]
