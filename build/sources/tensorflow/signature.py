"""The signature of a TensorFlow model: its inputs and outputs."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Tensor:
    """An input or output; `shape` has 0 for an open size, and is None where not even the axes are known."""

    name: str
    kind: str
    shape: tuple[int, ...] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Signature:
    """Inputs and outputs: those of a SavedModel sorted by name, those of a TFLite file in its order.

    `key` is the signature's name in a SavedModel. `ends` has the last operator of each output, "softmax" or "sigmoid",
    or "" for any other. `foreign` are operators that ONNX cannot express; `quantized` models have 8-bit weights.
    """

    key: str = ""
    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
    ends: tuple[str, ...]
    foreign: tuple[str, ...] = ()
    quantized: bool = False
