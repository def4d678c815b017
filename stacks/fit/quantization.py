"""The bytes of a quantized matrix in its checkpoint: AWQ, GPTQ, and FP8 with a scale per block, row or matrix."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from contracts.problems import Code
from stacks.fit.config import Config
from stacks.fit.shape import Matrix

KEY = "quantization_config"
INT32_BITS, INT32, FLOAT32, HALF = 32, 4, 4, 2
# Modules that are left out of every quantized checkpoint here, by parts of their names.
NEVER = ("lm_head", "embed", "gate", "router", "norm")


class Method(StrEnum):
    """The ways in which a checkpoint is quantized; the bytes of `OTHER` only its index tells."""

    AWQ = "awq"
    GPTQ = "gptq"
    FP8 = "fp8"
    OTHER = "other"


@dataclass(frozen=True, slots=True, kw_only=True)
class Quantization:
    """The quantization of a checkpoint's matrices.

    Weights of `bits` share a scale by `group` inputs, all of a row where that is 0. FP8 has a scale per `block` of rows
    and columns, or one per matrix where that is empty.
    """

    method: Method
    name: str
    bits: int = 8
    group: int = 0
    block: tuple[int, int] | None = None
    static: bool = False

    def bytes_of(self, matrix: Matrix) -> int:
        """Return the bytes of a matrix with its scales, zeros and group index; only an index has those of `OTHER`."""
        one = self._fp8(matrix) if self.method is Method.FP8 else self._grouped(matrix)
        return matrix.copies * one

    def _fp8(self, matrix: Matrix) -> int:
        scales = 2 if self.static else 1
        if self.block:
            rows, columns = self.block
            scales = -(-matrix.rows // rows) * -(-matrix.columns // columns)
        return matrix.rows * matrix.columns + FLOAT32 * scales

    def _grouped(self, matrix: Matrix) -> int:
        groups = -(-matrix.columns // self.group) if self.group else 1
        packed = INT32 * matrix.rows * self.bits // INT32_BITS
        weights, zeros, scales = (
            matrix.columns * packed,
            groups * packed,
            groups * matrix.rows * HALF,
        )
        # GPTQ names the group of each input, once for matrices that are joined.
        index = INT32 * matrix.columns if self.method is Method.GPTQ and not matrix.joined else 0
        return weights + zeros + scales + index


def read_quantization(config: Config) -> Quantization | None:
    """Return how a checkpoint is quantized, None where it is not; keeps what is wrong as the config's problems."""
    document = config.document.get(KEY)
    if document is None:
        return None
    if not isinstance(document, Mapping):
        config.refuse(
            KEY, "is not an object; give it as the tool wrote it that quantized the model"
        )
        return None
    inner = Config(document, config.where)
    found = _read(inner, document)
    config.problems += [problem.within(KEY) for problem in inner.problems]
    return found


def _read(inner: Config, document: Mapping[str, Any]) -> Quantization:
    name = document.get("quant_method")
    if not isinstance(name, str):
        inner.refuse(
            "quant_method",
            "is not there; give it the method, such as awq, gptq or fp8",
            Code.SETTING_MISSING,
        )
        name = ""
    left_out = [*inner.words("modules_to_not_convert"), *inner.words("ignored_layers")]
    plain = all(any(part in module for part in NEVER) for module in left_out)
    if name in (Method.AWQ, Method.GPTQ) and plain:
        group = inner.whole("group_size", "q_group_size", default=128, minimum=-1)
        bits = inner.whole("bits", "w_bit")
        return Quantization(method=Method(name), name=name, bits=bits, group=max(0, group))
    if name == Method.FP8 and plain:
        block = inner.numbers("weight_block_size")
        if block and len(block) != 2:
            inner.refuse("weight_block_size", "has to be two numbers, of rows and of columns")
        static = document.get("activation_scheme") == "static"
        return Quantization(
            method=Method.FP8,
            name=name,
            block=(block[0], block[1]) if len(block) == 2 else None,
            static=static,
        )
    return Quantization(method=Method.OTHER, name=name)


# Weights that vLLM quantizes itself when it loads them (`--quantization fp8`), with one scale per matrix.
ONLINE_FP8 = Quantization(method=Method.FP8, name="fp8")
