"""The difference of each layer's activations between an artefact and the reference, on the golden rows.

Tensors are matched by their names, which quantization keeps for a layer's outputs. ONNX Runtime's own debugger
(onnxruntime.quantization.qdq_loss_debug) matches pairs of QuantizeLinear and DequantizeLinear, of which dynamic
quantization and weights in blocks have none; the ratio computed here is the same.
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

from build.exported_graphs import GraphPair
from build.graph.edit import Floats
from build.graph.observe import with_observed_outputs
from build.inspection.feeds import feeds_for
from build.proof.golden import GoldenRow
from build.sources.source import Source
from contracts.manifest import kernels_in

# The operators that count as layers: each is one step of a model as its paper describes it, with floats as output.
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
    """Sums over the golden rows for one tensor: squares of both sides and of their difference, and products."""

    signal: float = 0.0
    other: float = 0.0
    noise: float = 0.0
    product: float = 0.0

    def add(self, one: Floats, other: Floats) -> None:
        # The sums run over all numbers of all rows, more than float32 can add up.
        a, b = one.ravel().astype(np.float64), other.ravel().astype(np.float64)
        self.signal += float(a @ a)
        self.other += float(b @ b)
        self.noise += float((a - b) @ (a - b))
        self.product += float(a @ b)


@dataclass(frozen=True, slots=True, kw_only=True)
class Layer:
    """One tensor of a graph: its signal-to-quantization-noise ratio in dB, and the cosine.

    `sqnr_db` is None if both sides are equal.
    """

    graph: str
    tensor: str
    operator: str
    sqnr_db: float | None
    cosine: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """The layers, the worst first, and the number of the reference's that the artefact has under no name."""

    layers: tuple[Layer, ...] = ()
    unmatched: int = 0
    rows: int = 0
    reference: Mapping[str, str] = field(default_factory=dict)


def compare(pairs: Sequence[GraphPair], source: Source, golden: Sequence[GoldenRow]) -> Comparison:
    """Run both sides on the golden rows; raise LayersNotComparable for a task whose inputs have no rule here."""
    layers: list[Layer] = []
    unmatched, forms = 0, {}
    for pair in pairs:
        built = onnx.load(pair.built)
        path, reference = _closest(pair, built)
        forms[pair.name] = path.stem
        names = _shared(reference, built)
        unmatched += sum(1 for _ in _layers_of(reference)) - len(names)
        feeds = feeds_for(pair, pairs, source, golden, reference)
        layers += _measure(pair, reference, built, names, feeds)
    worst = sorted(layers, key=lambda layer: math.inf if layer.sqnr_db is None else layer.sqnr_db)
    return Comparison(layers=tuple(worst), unmatched=unmatched, rows=len(golden), reference=forms)


def closest_reference(pair: GraphPair) -> Any:
    """Return the form of the reference's graph that shares most layers with the artefact's."""
    return _closest(pair, onnx.load(pair.built))[1]


def _closest(pair: GraphPair, built: Any) -> tuple[Path, Any]:
    # Fusion renames tensors: an artefact made of the fused graph shares most names with that one.
    graphs = [(path, onnx.load(path)) for path in (*pair.others, pair.exported)]
    return max(graphs, key=lambda item: len(_shared(item[1], built)))


def _layers_of(model: Any) -> Iterator[tuple[str, str]]:
    """Yield the output name and the operator of each layer; a graph output counts as a layer."""
    outputs = {output.name for output in model.graph.output}
    for node in model.graph.node:
        if node.op_type in LAYERS or set(node.output) & outputs:
            yield node.output[0], node.op_type


def _shared(reference: Any, built: Any) -> dict[str, str]:
    """Return the operators of the layers that both graphs have, by their names."""
    names = {name for node in built.graph.node for name in node.output}
    return {name: operator for name, operator in _layers_of(reference) if name in names}


def _measure(
    pair: GraphPair,
    reference: Any,
    built: Any,
    names: Mapping[str, str],
    feeds: Iterable[Mapping[str, Any]],
) -> list[Layer]:
    sums = {name: _Sums() for name in names}
    with ExitStack() as stack:
        place = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        observers = [
            stack.enter_context(
                with_observed_outputs(model, list(names), place / f"{side}.onnx", kernels=kernels)
            )
            for side, model, kernels in (
                ("reference", reference, None),
                ("built", built, kernels_in(pair.built.parent)),
            )
        ]
        for feed in feeds:
            for name, one, other in zip(
                names, *(observe(feed) for observe in observers), strict=True
            ):
                # A fused operator may keep a name for a tensor of another shape.
                if one.shape == other.shape:
                    sums[name].add(one, other)
    # A tensor that is zero throughout has no ratio of signal to noise.
    return [_layer(pair.name, name, names[name], s) for name, s in sums.items() if s.signal]


def _layer(graph: str, name: str, operator: str, sums: _Sums) -> Layer:
    ratio = None if not sums.noise else round(10 * math.log10(sums.signal / sums.noise), 2)
    scale = math.sqrt(sums.signal * sums.other)
    cosine = sums.product / scale if scale else 0.0
    return Layer(
        graph=graph, tensor=name, operator=operator, sqnr_db=ratio, cosine=round(cosine, 6)
    )
