"""How far each layer of what was built is from the original's, on the golden rows.

Tensors are matched by their names, which quantization keeps for what a layer makes. ONNX Runtime's own debugger
(onnxruntime.quantization.qdq_loss_debug) matches pairs of QuantizeLinear and DequantizeLinear, of which dynamic
quantization and weights in blocks have none; the ratio is the one that it computes.
"""

import math
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import onnx

from build.graph.edit import Floats, with_observed_outputs
from build.inspection.feeds import feeds_for
from build.prepared import Pair
from build.proof.golden import GoldenRow
from build.sources.source import Source

# What a layer is: the operators whose outputs are floats and are what a reader of a model thinks of as one step.
LAYERS = {
    "Attention",
    "BiasGelu",
    "EmbedLayerNormalization",
    "FastGelu",
    "Gelu",
    "Gemm",
    "GroupQueryAttention",
    "LayerNormalization",
    "MatMul",
    "MultiHeadAttention",
    "QuickGelu",
    "RMSNormalization",
    "SimplifiedLayerNormalization",
    "SkipLayerNormalization",
    "SkipSimplifiedLayerNormalization",
    "Softmax",
    "Tanh",
}


@dataclass(slots=True)
class _Sums:
    """What is summed over the golden rows for one tensor: squares of both and of their difference, and products."""

    signal: float = 0.0
    other: float = 0.0
    noise: float = 0.0
    product: float = 0.0

    def add(self, one: Floats, other: Floats) -> None:
        a, b = one.ravel().astype(np.float64), other.ravel().astype(np.float64)
        self.signal += float(a @ a)
        self.other += float(b @ b)
        self.noise += float((a - b) @ (a - b))
        self.product += float(a @ b)


@dataclass(frozen=True, slots=True, kw_only=True)
class Layer:
    """One tensor of a graph: the ratio of its signal to what quantization adds, in dB, and the cosine.

    `sqnr_db` is None where both hold the same.
    """

    graph: str
    tensor: str
    operator: str
    sqnr_db: float | None
    cosine: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """The layers, the worst first, and how many of the original's are nowhere in what was built."""

    layers: tuple[Layer, ...] = ()
    unmatched: int = 0
    rows: int = 0
    reference: Mapping[str, str] = field(default_factory=dict)


def compare(pairs: Sequence[Pair], source: Source, golden: Sequence[GoldenRow]) -> Compared:
    """Run both on the golden rows; raises NotFed for a task whose graphs it does not know how to feed."""
    found: list[Layer] = []
    unmatched, reference = 0, {}
    for pair in pairs:
        built = onnx.load(pair.built)
        path, original = _nearest(pair, built)
        reference[pair.name] = path.stem
        names = _shared(original, built)
        unmatched += sum(1 for _ in _made(original)) - len(names)
        feeds = feeds_for(pair, pairs, source, golden, original)
        found += _measure(pair.name, original, built, names, feeds)
    worst = sorted(found, key=lambda layer: math.inf if layer.sqnr_db is None else layer.sqnr_db)
    return Compared(layers=tuple(worst), unmatched=unmatched, rows=len(golden), reference=reference)


def nearest(pair: Pair) -> Any:
    """The original's graph in the shape that shares most layers with what was built."""
    return _nearest(pair, onnx.load(pair.built))[1]


def _nearest(pair: Pair, built: Any) -> tuple[Path, Any]:
    graphs = [(path, onnx.load(path)) for path in (*pair.others, pair.exported)]
    return max(graphs, key=lambda item: len(_shared(item[1], built)))


def _made(model: Any) -> Iterator[tuple[str, str]]:
    """What each layer makes, by its name, with the operator."""
    outputs = {output.name for output in model.graph.output}
    for node in model.graph.node:
        if node.op_type in LAYERS or set(node.output) & outputs:
            yield node.output[0], node.op_type


def _shared(original: Any, built: Any) -> dict[str, str]:
    there = {name for node in built.graph.node for name in node.output}
    return {name: operator for name, operator in _made(original) if name in there}


def _measure(
    graph: str,
    original: Any,
    built: Any,
    names: Mapping[str, str],
    feeds: Iterable[Mapping[str, Any]],
) -> list[Layer]:
    sums = {name: _Sums() for name in names}
    with ExitStack() as stack:
        place = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        looks = [
            stack.enter_context(with_observed_outputs(model, list(names), place / f"{side}.onnx"))
            for side, model in (("original", original), ("built", built))
        ]
        for feed in feeds:
            for name, one, other in zip(names, *(look(feed) for look in looks), strict=True):
                if one.shape == other.shape:
                    sums[name].add(one, other)
    return [_layer(graph, name, names[name], s) for name, s in sums.items() if s.signal]


def _layer(graph: str, name: str, operator: str, sums: _Sums) -> Layer:
    ratio = None if not sums.noise else round(10 * math.log10(sums.signal / sums.noise), 2)
    scale = math.sqrt(sums.signal * sums.other)
    cosine = sums.product / scale if scale else 0.0
    return Layer(
        graph=graph, tensor=name, operator=operator, sqnr_db=ratio, cosine=round(cosine, 6)
    )
