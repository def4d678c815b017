"""What a TensorFlow model says of itself: what it takes and answers, read without TensorFlow."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Tensor:
    """An input or output; `shape` has 0 for an open size, and is None where not even the axes are known."""

    name: str
    kind: str
    shape: tuple[int, ...] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Signature:
    """Inputs in the order they are spoken of, outputs likewise.

    `key` names it in its file. `ends` says for each output whether it is a "softmax" or a "sigmoid", or "".
    `foreign` are operators that do not run in ONNX at all, `quantized` that weights are 8-bit numbers.
    """

    key: str = ""
    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
    ends: tuple[str, ...]
    foreign: tuple[str, ...] = ()
    quantized: bool = False
