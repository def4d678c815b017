"""The recipes of encoders, and the graphs that they make."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from build.graph.edit import matmuls, remove_unused_constants
from build.graph.file import load, save, save_apart
from build.kernels.libraries import copy_libraries
from build.recipes.block_int8 import quantize_block_wise
from build.recipes.dynamic_int8 import quantize, replace_gemms
from build.recipes.embedding_tables import quantize_tables
from build.recipes.encoder_layers.fusing import fuse_layers
from build.recipes.encoder_layers.matching import why_none
from build.recipes.half import to_half
from build.recipes.integer_matmul import fuse_integer_matmuls
from build.recipes.openvino.int8 import activations_for_openvino, quantize_for_openvino
from build.recipes.recipe import EncoderRecipe, Int8MatMuls, PassedOver
from build.recipes.saturation import requantize
from build.recipes.sensitivity import most_sensitive
from build.recipes.smoothquant import smooth
from build.recipes.static_ranges import dynamic_nodes, fix_ranges, observed_ranges
from contracts.tasks import Runtime
from functions.inference.token_batches import Feeds

# What calibrated recipes begin with: the smoothed graph, the outputs of its MatMuls, the most sensitive first, and the
# range of each activation on each of the rows.
SMOOTHED, SENSITIVE, RANGES = "smoothed.onnx", "sensitive.json", "ranges.json"
FP32 = EncoderRecipe(name="fp32", fused=False)
FP32_FUSED = EncoderRecipe(name="fp32 fused")
FP16_FUSED = EncoderRecipe(name="fp16 fused", half=True)
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
OPENVINO_FP32 = EncoderRecipe(name="fp32 fused, OpenVINO", runtime=Runtime.OPENVINO)
OPENVINO_INT8 = tuple(
    EncoderRecipe(
        name=f"int8 smoothed, static, {left}OpenVINO",
        int8_tables=True,
        matmuls=Int8MatMuls(smoothed=True, static=True, in_float=count, attention=attention),
        runtime=Runtime.OPENVINO,
    )
    for left, count, attention in (
        ("", 0, True),
        ("2 in float, ", 2, True),
        ("4 and attention in float, ", 4, False),
    )
)

KERNELS = EncoderRecipe(
    name="int8 smoothed, kernels",
    int8_tables=True,
    matmuls=Int8MatMuls(smoothed=True),
    kernels=True,
)


def make(recipe: EncoderRecipe, graph: Path, destination: Path) -> Path:
    """Write the candidate of a recipe without calibration to `destination`; `graph` is the plain or the fused one."""
    model = load(graph)
    if recipe.int8_tables:
        quantize_tables(model.graph)
    if recipe.matmuls is not None:
        model = _quantize_matmuls(recipe.matmuls, model)
    if recipe.half:
        model = to_half(model)
    return _finish(model, destination)


def calibrate(fused: Path, folder: Path, feeds: Sequence[Feeds]) -> None:
    """Write what all calibrated recipes begin with to the folder; `feeds` are the user's rows.

    It is the fused graph with int8 tables and smoothed activations, and what these were on the rows.
    """
    scratch = folder / "observed.onnx"
    model = load(fused)
    quantize_tables(model.graph)
    smooth(model, feeds, scratch)
    save_apart(model, folder / SMOOTHED)
    # Loaded again, since a model keeps the memory of the weights that were replaced.
    del model
    model = load(folder / SMOOTHED)
    # Measured on the smoothed activations, as they are what is quantized.
    order = most_sensitive(model, feeds, scratch)
    (folder / SENSITIVE).write_text(json.dumps(order), "utf-8")
    names = {node.input[0] for node in dynamic_nodes(model.graph)} | activations_for_openvino(model)
    ranges = observed_ranges(model, names, feeds, scratch)
    (folder / RANGES).write_text(json.dumps(ranges), "utf-8")


def make_calibrated(recipe: EncoderRecipe, calibrated: Path, destination: Path) -> Path:
    """Write the candidate of a calibrated recipe to `destination`, made of what `calibrate` has written.

    Raise PassedOver where the recipe is for other models.
    """
    recipe_of_matmuls = recipe.matmuls
    assert recipe_of_matmuls
    model = load(calibrated / SMOOTHED)
    if recipe.kernels:
        if not fuse_layers(model):
            raise PassedOver(why_none(model))
        save(model, destination)
        copy_libraries(destination.parent)
        return destination
    order, ranges = (
        json.loads((calibrated / name).read_text("utf-8")) for name in (SENSITIVE, RANGES)
    )
    if recipe.runtime is Runtime.OPENVINO:
        in_float, attention = order[: recipe_of_matmuls.in_float], recipe_of_matmuls.attention
        quantize_for_openvino(model, ranges, attention=attention, in_float=in_float)
        return _finish(model, destination)
    if recipe_of_matmuls.block_wise:
        nodes = matmuls(model.graph, ("MatMul",))
        if recipe_of_matmuls.block_wise != "all":
            picked = set(order[: recipe_of_matmuls.block_wise])
            nodes = [node for node in nodes if node.output[0] in picked]
        quantize_block_wise(model.graph, nodes)
    quantized = _quantize_matmuls(recipe_of_matmuls, model)
    if recipe_of_matmuls.static:
        fix_ranges(quantized, ranges)
    return _finish(quantized, destination)


def keep(plain: Path, destination: Path) -> Path:
    """Write a graph that is quantized already to `destination`, its integer MatMuls fused and nothing else changed."""
    return _finish(load(plain), destination)


def _finish(model: Any, destination: Path) -> Path:
    fuse_integer_matmuls(model.graph)
    remove_unused_constants(model.graph)
    save(model, destination)
    return destination


def _quantize_matmuls(recipe: Int8MatMuls, model: Any) -> Any:
    """Return the model with its MatMuls quantized, but for those that are quantized in blocks."""
    # Heads are Gemms, which `requantize` would not find among the MatMuls that the quantizer makes of them.
    if recipe.per_channel:
        replace_gemms(model)
    # ONNX's own Attention has no weights, and the quantizer would take it for ONNX Runtime's, which has.
    operators = sorted({"MatMul", *(node.op_type for node in matmuls(model.graph))})
    quantized = quantize(model, operators, without=_no_matrices(model.graph, operators))
    # Weights per channel are limited as well, so that they cannot saturate sums of 16 bits.
    if recipe.per_channel:
        requantize(quantized, model.graph)
    return quantized


def _no_matrices(graph: Any, operators: Sequence[str]) -> list[str]:
    """Name the nodes of those operators that multiply by a constant of one axis or three, and return their names.

    ONNX Runtime's quantizer takes them as well, and its kernels refuse what it makes of them.
    """
    products = {node.output[0] for node in matmuls(graph)}
    others = [n for n in graph.node if n.op_type in operators and n.output[0] not in products]
    for node in others:
        node.name = node.name or node.output[0]
    return [node.name for node in others]
