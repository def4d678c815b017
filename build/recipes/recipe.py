"""Quantization recipes as data: each one is made into a candidate and measured; `build.proof.ranking` ranks them."""

from dataclasses import dataclass
from enum import StrEnum
from typing import ClassVar, Literal

from contracts.tasks import Runtime


class PassedOver(Exception):
    """A recipe makes nothing of its own of a model, or nothing that can be opened; the message says why.

    The other recipes are tried.
    """


@dataclass(frozen=True, slots=True, kw_only=True)
class Int8MatMuls:
    """Matrix products of int8 weights and uint8 activations (W8A8).

    `per_channel` weights have one scale per output column and stay within the 16-bit sums of processors without VNNI
    (see `build.recipes.saturation`). Without it there is one scale per tensor, over the full int8 range.
    `smoothed` moves activation outliers into the weights first (SmoothQuant). `static` fixes activation ranges on the
    user's rows; otherwise they are dynamic: those of each request. `block_wise` is the number of most sensitive MatMuls
    that are quantized in blocks of 32 instead, or all of them; `in_float` is the number of those that stay as they are.
    `attention` quantizes the products of two activations as well, which only a runtime with fixed ranges gains from.
    """

    per_channel: bool = True
    smoothed: bool = False
    static: bool = False
    block_wise: int | Literal["all"] = 0
    in_float: int = 0
    attention: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class EncoderRecipe:
    """One way to make a candidate from an encoder's plain or fused graph.

    `int8_tables` quantizes large embedding tables, with one scale per row. `half` computes in float16.
    `kernels` makes an operator of our own of each layer (see `build.recipes.encoder_layers`), which quantizes each row
    of its activations by itself, with the weights of `matmuls`; what else there is stays in floats. The
    `runtime` computes the graph, and decides by which operators it is quantized.
    """

    name: str
    fused: bool = True
    half: bool = False
    int8_tables: bool = False
    matmuls: Int8MatMuls | None = None
    kernels: bool = False
    runtime: Runtime = Runtime.ONNX_RUNTIME

    @property
    def precision(self) -> str:
        if self.half:
            return "fp16"
        return "int8" if self.matmuls or self.int8_tables else "fp32"

    @property
    def batchable(self) -> bool:
        """True if an answer does not depend on the other texts of a batch, which share dynamic ranges."""
        return self.matmuls is None or self.matmuls.static or self.kernels

    @property
    def calibrated(self) -> bool:
        """True if the candidate depends on the user's rows."""
        matmuls = self.matmuls
        return matmuls is not None and (
            matmuls.smoothed or matmuls.static or matmuls.block_wise not in (0, "all")
        )

    @property
    def may_saturate(self) -> bool:
        """True if 16-bit sums may saturate on a processor without VNNI."""
        return self.matmuls is not None and not self.matmuls.per_channel


class WeightFormat(StrEnum):
    """Formats of weights that are quantized alone, in blocks of 32 with a scale each."""

    FLOAT32 = "fp32"
    INT8 = "int8"
    INT4 = "int4"
    INT4_OFFSETS = "int4 with offsets"


@dataclass(frozen=True, slots=True, kw_only=True)
class GeneratorRecipe:
    """One way to make a candidate from a generator's graphs; its weights alone are quantized.

    `sensitive_weights` is the format of the matrices that lose the most by quantization: down projections (fewer
    columns than rows) and the value projections of attention. `fused_cache` has attention write into the KV cache,
    where the graph allows it.
    """

    runtime: ClassVar[Runtime] = Runtime.ONNX_RUNTIME
    # An answer depends neither on its batch nor on the user's rows, and no sum of 16 bits occurs.
    batchable: ClassVar[bool] = True
    calibrated: ClassVar[bool] = False
    may_saturate: ClassVar[bool] = False
    kernels: ClassVar[bool] = False

    name: str
    weights: WeightFormat = WeightFormat.FLOAT32
    sensitive_weights: WeightFormat = WeightFormat.FLOAT32
    fused_cache: bool = True

    @property
    def precision(self) -> str:
        return "int4" if self.weights is WeightFormat.INT4_OFFSETS else self.weights.value


@dataclass(frozen=True, slots=True, kw_only=True)
class NamedRecipe:
    """A recipe without switches: its family knows by the name what to do. The properties are those of other recipes."""

    runtime: ClassVar[Runtime] = Runtime.ONNX_RUNTIME

    name: str
    precision: str = "fp32"
    batchable: bool = True
    calibrated: bool = False
    may_saturate: bool = False
    kernels: ClassVar[bool] = False


Recipe = EncoderRecipe | GeneratorRecipe | NamedRecipe

# A graph that its user has quantized already. Nothing is known of its ranges, so the worst is assumed.
PREQUANTIZED = NamedRecipe(name="as it was", precision="int8", batchable=False, may_saturate=True)
