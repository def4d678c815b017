"""Recipes of quantization, from the smallest and fastest artefact to the gentlest; the first to pass the gate ships."""

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import onnx
from tokenizers import Encoding

from build.blocks import in_blocks
from build.quiet import quiet
from build.smooth import smooth


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """Dynamic INT8: weights ahead of time, per channel; activations by the range of each request.

    Weights keep 7 of their 8 bits (`reduce_range`): on x86 processors without VNNI, products of 8-bit weights
    and activations saturate 16-bit sums, and the same model would answer differently from host to host.
    `smoothed` names operators whose inputs are evened out first; `blocks` puts what is left of MatMul in blocks.
    """

    name: str
    operators: tuple[str, ...]
    smoothed: tuple[str, ...] = ()
    blocks: bool = False


PRODUCTS = ("MatMul", "Attention")
TABLES = ("EmbedLayerNormalization", "Gather")

RECIPES = (
    Recipe(name="int8", operators=(*PRODUCTS, *TABLES)),
    Recipe(name="int8 smoothed", operators=(*PRODUCTS, *TABLES), smoothed=PRODUCTS),
    Recipe(
        name="int8 in blocks",
        operators=("Attention", *TABLES),
        smoothed=("Attention",),
        blocks=True,
    ),
    Recipe(name="int8 embeddings", operators=TABLES),
)
FLOAT = Recipe(name="fp32", operators=())


def quantize(recipe: Recipe, model: Path, destination: Path, encodings: Sequence[Encoding]) -> Path:
    """Write the model by the recipe to `destination`; `encodings` are texts it may be calibrated on."""
    if not recipe.operators:
        shutil.copyfile(model, destination)
        return destination
    if recipe.smoothed:
        model = smooth(model, model.with_name("smoothed.onnx"), recipe.smoothed, encodings)
    _dynamic(model, destination, recipe.operators)
    return in_blocks(destination, destination) if recipe.blocks else destination


def _dynamic(model: Path, destination: Path, operators: Sequence[str]) -> None:
    from onnxruntime.quantization import QuantType, quantize_dynamic

    with quiet():
        quantize_dynamic(
            model,
            destination,
            op_types_to_quantize=list(operators),
            per_channel=True,
            reduce_range=True,
            weight_type=QuantType.QInt8,
            # The optimiser leaves no shapes behind, so the type of a weight's neighbours is said here.
            extra_options={"MatMulConstBOnly": True, "DefaultTensorType": onnx.TensorProto.FLOAT},
        )
