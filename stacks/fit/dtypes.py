"""The types in which weights and KV cache can be served."""

from enum import StrEnum


class Dtype(StrEnum):
    """The type of weights: the checkpoint's own, another of 16 or 32 bits, or FP8, quantized as they are loaded."""

    AUTO = "auto"
    BFLOAT16 = "bfloat16"
    FLOAT16 = "float16"
    FLOAT32 = "float32"
    FP8 = "fp8"


class KvDtype(StrEnum):
    """The type of the KV cache: that of the weights' other elements, or FP8."""

    AUTO = "auto"
    FP8 = "fp8"


# Bytes of an element.
BYTES = {Dtype.FLOAT32: 4, Dtype.FLOAT16: 2, Dtype.BFLOAT16: 2}
