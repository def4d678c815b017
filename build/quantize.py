"""Recipes of quantization, from the smallest artefact to the gentlest; the first that passes the gate ships."""

import shutil
from dataclasses import dataclass
from pathlib import Path

import onnx

from build.quiet import quiet


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """Dynamic INT8: weights ahead of time, per channel; activations by the range of each request.

    Weights keep 7 of their 8 bits (`reduce_range`): on x86 processors without VNNI, products of 8-bit weights
    and activations saturate 16-bit sums, and the same model would answer differently from host to host.
    `float_after` names operators whose outputs have outliers: a MatMul fed by one of them stays in float.
    """

    name: str
    operators: tuple[str, ...]
    float_after: tuple[str, ...] = ()


GELU = ("BiasGelu", "FastGelu", "Gelu")
INT8 = ("MatMul", "Attention", "EmbedLayerNormalization", "Gather")

RECIPES = (
    Recipe(name="int8", operators=INT8),
    Recipe(name="int8, float after GELU", operators=INT8, float_after=GELU),
    Recipe(name="int8 embeddings", operators=("EmbedLayerNormalization", "Gather")),
)
FLOAT = Recipe(name="fp32", operators=())


def quantize(recipe: Recipe, model: Path, destination: Path) -> Path:
    """Write the model by the recipe to `destination`."""
    if not recipe.operators:
        shutil.copyfile(model, destination)
        return destination
    from onnxruntime.quantization import QuantType, quantize_dynamic

    with quiet():
        quantize_dynamic(
            model,
            destination,
            op_types_to_quantize=list(recipe.operators),
            per_channel=True,
            reduce_range=True,
            weight_type=QuantType.QInt8,
            nodes_to_exclude=_fed_by(model, recipe.float_after),
            # The optimiser leaves no shapes behind, so the type of a weight's neighbours is said here.
            extra_options={"MatMulConstBOnly": True, "DefaultTensorType": onnx.TensorProto.FLOAT},
        )
    return destination


def _fed_by(model: Path, operators: tuple[str, ...]) -> list[str]:
    """Names of the MatMul nodes that read what one of the operators wrote."""
    graph = onnx.load(model).graph
    written = {output for node in graph.node if node.op_type in operators for output in node.output}
    return [n.name for n in graph.node if n.op_type == "MatMul" and written.intersection(n.input)]
