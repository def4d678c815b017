"""The bytes of a model's weights: in its checkpoint, and on each GPU that serves it."""

from collections.abc import Iterator
from dataclasses import dataclass

from stacks.fit.quantization import Quantization
from stacks.fit.shape import Matrix, Shape

# vLLM rounds the rows of embedding and head up to this many.
VOCABULARY_PADDING = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Weights:
    """The weights as they are served.

    `linear` are the bytes of the matrices that may be quantized, as one GPU would have them; everything else is served
    with `bytes_per_element`.
    """

    bytes_per_element: int
    linear: int


def elements(shape: Shape) -> int:
    """Return the parameters of a model."""
    return linear_elements(shape) + _others(shape, 1, shape.vocabulary)


def linear_elements(shape: Shape, gpus: int = 1) -> int:
    """Return the elements on one GPU of the matrices that a quantized checkpoint has quantized."""
    return sum(n * matrix.elements_at(gpus) for matrix, n in _matrices(shape) if matrix.linear)


def stored_bytes(shape: Shape, bytes_per_element: int, quantization: Quantization | None) -> int:
    """Return the bytes of the checkpoint's tensors, as the `total_size` of its index has them."""
    return other_bytes(shape, bytes_per_element) + linear_bytes(
        shape, bytes_per_element, quantization
    )


def linear_bytes(shape: Shape, bytes_per_element: int, quantization: Quantization | None) -> int:
    """Return the bytes of the matrices that a quantized checkpoint has quantized."""
    if quantization is None:
        return bytes_per_element * linear_elements(shape)
    return sum(n * quantization.bytes_of(matrix) for matrix, n in _matrices(shape) if matrix.linear)


def other_bytes(shape: Shape, bytes_per_element: int) -> int:
    """Return the bytes of the checkpoint's embeddings, head, norms, biases and routers."""
    return bytes_per_element * _others(shape, 1, shape.vocabulary)


def bytes_on_gpu(shape: Shape, weights: Weights, gpus: int) -> int:
    """Return the bytes of the weights on each of so many GPUs."""
    padded = -(-shape.vocabulary // VOCABULARY_PADDING) * VOCABULARY_PADDING
    others = weights.bytes_per_element * _others(shape, gpus, padded)
    part, whole = linear_elements(shape, gpus), linear_elements(shape)
    return others + -(-weights.linear * part // whole)


def absorbed_bytes(shape: Shape, bytes_per_element: int, gpus: int) -> int:
    """Return the bytes on each GPU of what vLLM makes of weights and keeps besides: of latent attention."""
    return bytes_per_element * sum(
        n * layer.attention.absorbed // gpus for layer, n in shape.layers
    )


def _others(shape: Shape, gpus: int, vocabulary: int) -> int:
    """Return the elements on one GPU of what is never quantized."""
    rows = vocabulary // gpus if gpus > 1 else vocabulary
    tables = rows * shape.hidden * (1 if shape.tied else 2) + shape.positions * shape.hidden
    biases = sum(n * matrix.bias_at(gpus) for matrix, n in _matrices(shape))
    routers = sum(
        n * matrix.elements_at(gpus) for matrix, n in _matrices(shape) if not matrix.linear
    )
    norms = shape.vectors + sum(n * layer.vectors for layer, n in shape.layers)
    return tables + biases + routers + norms + (rows if shape.head_bias else 0)


def _matrices(shape: Shape) -> Iterator[tuple[Matrix, int]]:
    """Yield each matrix of a layer, and how many layers have it."""
    for layer, count in shape.layers:
        for matrix in layer.attention.matrices(shape.hidden):
            yield matrix, count
        for matrix in layer.feed_forward.matrices(shape.hidden):
            yield matrix, count
