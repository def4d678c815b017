"""Quantization recipes. Each one is made into a candidate and measured; `build.proof.choose` picks."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import onnx

from build.graph.edit import drop_unused, matmuls
from build.graph.file import save
from build.recipes.block_int8 import in_blocks
from build.recipes.embedding_tables import shrink_tables
from build.recipes.integer_matmul import join
from build.recipes.saturation import requantize
from build.recipes.sensitivity import most_sensitive
from build.recipes.smoothquant import smooth
from build.recipes.static_ranges import fix_ranges
from build.workspace.quiet import quiet
from functions.inference.tokens import Feeds


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """One way to make a candidate from the plain or the fused graph.

    INT8 weights are per channel and no larger than 16-bit sums bear (`reduce_range`, see build.pairs): on x86
    processors without VNNI these would saturate, and one model would answer differently from host to host.
    `ranges` are those of activations: of each request (dynamic), or fixed on the user's rows (static). `smoothed` evens
    activations out first; `blocks` is how many of the most sensitive products are computed in blocks, -1 is all.
    `given` is a graph that was quantized before it came here, `bits` are those of the weights of a model that writes,
    `offsets` and `narrow` as `build.recipes.weight_only` has them.
    """

    name: str
    fused: bool = True
    products: bool = False
    tables: bool = False
    per_channel: bool = True
    reduce_range: bool = True
    ranges: str = "dynamic"
    smoothed: bool = False
    blocks: int = 0
    given: bool = False
    bits: int = 0
    offsets: bool = False
    narrow: int = 0

    @property
    def precision(self) -> str:
        if self.bits:
            return f"int{self.bits}"
        return "int8" if self.products or self.tables or self.blocks or self.given else "fp32"

    @property
    def batches(self) -> bool:
        """Whether an answer stays the same beside others: not where ranges are those of the whole batch."""
        return not self.given and (not self.products or self.ranges == "static")

    @property
    def calibrated(self) -> bool:
        return self.smoothed or self.blocks > 0 or self.ranges == "static"


FLOAT = (Recipe(name="fp32", fused=False), Recipe(name="fp32 fused"))
INT8 = (
    Recipe(name="int8 per tensor", products=True, per_channel=False, reduce_range=False),
    Recipe(name="int8", products=True, tables=True),
    Recipe(name="int8 smoothed", products=True, tables=True, smoothed=True),
    *(
        Recipe(
            name=f"int8 smoothed, static{f', {blocks} in blocks' if blocks else ''}",
            products=True,
            tables=True,
            smoothed=True,
            ranges="static",
            blocks=blocks,
        )
        for blocks in (0, 4, 8)
    ),
    Recipe(name="int8 in blocks", products=True, tables=True, smoothed=True, blocks=-1),
    Recipe(name="int8 tables", tables=True),
)


def make(
    recipe: Recipe, plain: Path, fused: Path, destination: Path, feeds: Sequence[Feeds]
) -> Path:
    """Write the candidate to `destination`; `feeds` are rows of the user's it is calibrated on."""
    model = onnx.load(fused if recipe.fused else plain)
    place = destination.with_name(f"{destination.stem}-observed.onnx")
    if recipe.tables:
        shrink_tables(model.graph)
    if recipe.smoothed:
        smooth(model, feeds, place)
    if recipe.blocks:
        in_blocks(model.graph, _blocked(recipe, model, feeds, place))
    if recipe.products:
        model = _dynamic(recipe, model, destination)
    if recipe.ranges == "static":
        fix_ranges(model, feeds, place)
    join(model.graph)
    drop_unused(model.graph)
    save(model, destination)
    return destination


def _blocked(recipe: Recipe, model: Any, feeds: Sequence[Feeds], place: Path) -> list[Any]:
    """The products that are computed in blocks: all, or the most sensitive."""
    nodes = matmuls(model.graph, ("MatMul",))
    if recipe.blocks < 0:
        return nodes
    picked = set(most_sensitive(model, feeds, place)[: recipe.blocks])
    return [node for node in nodes if node.output[0] in picked]


def _operators(graph: Any) -> list[str]:
    return sorted({"MatMul", *(node.op_type for node in matmuls(graph))})


def _dynamic(recipe: Recipe, model: Any, destination: Path) -> Any:
    from onnxruntime.quantization import QuantType, quantize_dynamic

    with quiet():
        quantize_dynamic(
            model,
            destination,
            # ONNX's own Attention has no weights, and would be taken for ONNX Runtime's, which does.
            op_types_to_quantize=_operators(model.graph),
            per_channel=recipe.per_channel,
            reduce_range=recipe.reduce_range,
            weight_type=QuantType.QInt8,
            # The optimiser leaves no shapes behind, so the type of a weight's neighbours is said here.
            extra_options={"MatMulConstBOnly": True, "DefaultTensorType": onnx.TensorProto.FLOAT},
        )
    quantized = onnx.load(destination)
    if recipe.per_channel and recipe.reduce_range:
        requantize(quantized, model.graph)  # of which the quantizer has made a copy
    return quantized
