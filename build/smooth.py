"""Move what makes activations hard to quantize into the weights (SmoothQuant, Xiao et al. 2023, arXiv:2211.10438).

A few channels of a transformer's activations are far larger than the rest, and one range over all channels then leaves
the others few of their 256 steps. Each channel is divided by s and its row of weights multiplied by s, which changes
nothing in exact arithmetic: s_j = max|X_j|^a / max|W_j|^(1-a), the maxima taken over the user's rows.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from tokenizers import Encoding

from functions.inference.session import open_session
from functions.inference.tokens import INPUTS

# a: 0.65 to 0.8 did best on MiniLM, by the error of the logits; the paper has 0.5 for larger models.
STRENGTH = 0.75
# Maxima settle after a few dozen texts.
CALIBRATION_ROWS = 128
SMALLEST = 1e-5

Vector = NDArray[np.float32]


def smooth(
    model: Path, destination: Path, operators: Sequence[str], encodings: Sequence[Encoding]
) -> Path:
    """Write the model with the inputs of its constant matrix products of those operators evened out."""
    proto = onnx.load(model)
    weights = {tensor.name: tensor for tensor in proto.graph.initializer}
    nodes = products(proto.graph, operators)
    found = _peaks(proto, destination, sorted({node.input[0] for node in nodes}), encodings)
    for node in nodes:
        matrix = numpy_helper.to_array(weights[node.input[1]])
        _divide(proto.graph, node, matrix, _scales(found[node.input[0]], matrix))
    drop_unused(proto.graph)
    onnx.save(proto, destination)
    return destination


def products(graph: Any, operators: Sequence[str]) -> list[Any]:
    """The nodes of those operators whose second input is a constant matrix."""
    matrices = {tensor.name for tensor in graph.initializer if len(tensor.dims) == 2}
    return [n for n in graph.node if n.op_type in operators and n.input[1] in matrices]


def _peaks(
    proto: Any, place: Path, names: Sequence[str], encodings: Sequence[Encoding]
) -> dict[str, Vector]:
    """The largest magnitude of each channel of the named tensors, over an even sample of the texts."""
    outputs = proto.graph.output
    own = len(outputs)
    outputs.extend(helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in names)
    onnx.save(proto, place)
    del outputs[own:]
    session = open_session(place, threads=1, device="cpu")
    wanted = [node.name for node in session.get_inputs()]
    peaks: dict[str, Vector] = {}
    for encoding in encodings[:: -(-len(encodings) // CALIBRATION_ROWS)]:
        feeds = {name: np.array([getattr(encoding, INPUTS[name])], np.int64) for name in wanted}
        for name, value in zip(names, session.run(list(names), feeds), strict=True):
            peak = np.abs(value).reshape(-1, value.shape[-1]).max(axis=0)
            peaks[name] = np.maximum(peaks.get(name, peak), peak)
    return peaks


def _scales(peak: Vector, matrix: Vector) -> Vector:
    """s, with a geometric mean of 1 so that the products keep their size."""
    rows = np.abs(matrix).max(axis=1)
    logs = STRENGTH * np.log(np.maximum(peak, SMALLEST))
    logs -= (1 - STRENGTH) * np.log(np.maximum(rows, SMALLEST))
    scales: Vector = np.exp(logs - logs.mean()).astype(np.float32)
    return scales


def _divide(graph: Any, node: Any, matrix: Vector, scales: Vector) -> None:
    """Divide what the node reads by the scales, and multiply its weights' rows by them."""
    name = f"{node.output[0]}_smooth"  # nodes may have no name, outputs always do
    graph.initializer.append(numpy_helper.from_array(1 / scales, f"{name}_scales"))
    graph.initializer.append(numpy_helper.from_array(matrix * scales[:, None], f"{name}_weight"))
    divided = helper.make_node("Mul", [node.input[0], f"{name}_scales"], [name], name=f"{name}_Mul")
    node.input[0], node.input[1] = name, f"{name}_weight"
    graph.node.insert(list(graph.node).index(node), divided)


def drop_unused(graph: Any) -> None:
    """Remove the constants that no node reads any more."""
    read = {name for node in graph.node for name in node.input}
    kept = [tensor for tensor in graph.initializer if tensor.name in read]
    del graph.initializer[:]
    graph.initializer.extend(kept)
