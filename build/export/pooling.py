"""Sentence embeddings at the end of a graph: token embeddings pooled as sentence-transformers does it.

https://sbert.net/docs/package_reference/sentence_transformer/models.html#sentence_transformers.models.Pooling
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import TensorProto, helper

from build.graph.edit import add_constant, prune
from build.graph.output import append_output
from build.sources.huggingface.weights import WEIGHTS
from build.sources.source import Dense, Pooling

# ONNX operators of the activations that a Dense layer may have; Identity takes none.
ACTIVATIONS = {"Tanh": "Tanh", "ReLU": "Relu", "Sigmoid": "Sigmoid"}


def add_pooling(graph: Any, pooling: Pooling, folder: Path) -> None:
    """Pool the graph's output [batch, tokens, width] to [batch, dimensions], in place; texts are padded on the right.

    `folder` holds the weights of Dense layers over the pooled vector.
    """
    hidden = graph.output[0].name
    width = graph.output[0].type.tensor_type.shape.dim[-1].dim_value
    constants: dict[str, NDArray[Any]] = {
        "pool_axis_1": np.array([1], np.int64),
        "pool_axis_last": np.array([-1], np.int64),
        "pool_zero": np.array(0, np.int64),
        "pool_one": np.array(1, np.int64),
        # The least that sentence-transformers divides by.
        "pool_tiny": np.array(1e-9, np.float32),
        "pool_least": np.array(np.finfo(np.float32).min, np.float32),
    }
    for name, value in constants.items():
        add_constant(graph, name, value)
    modes = pooling.modes.split("+")
    nodes = [
        helper.make_node("Cast", ["attention_mask"], ["pool_mask"], to=TensorProto.FLOAT),
        helper.make_node("Unsqueeze", ["pool_mask", "pool_axis_last"], ["pool_mask_3d"]),
    ]
    for mode in modes:
        nodes += MODES[mode](hidden, f"pooled_{mode}")
    dimensions, last = width * len(modes), f"pooled_{modes[0]}"
    if len(modes) > 1:
        nodes.append(_node("Concat", [f"pooled_{mode}" for mode in modes], "pooled", axis=-1))
        last = "pooled"
    for number, dense in enumerate(pooling.dense):
        layer, last, dimensions = _dense(
            graph, folder / dense.place, dense, last, f"dense_{number}"
        )
        nodes += layer
    nodes += _normalized(last) if pooling.normalize else [_node("Identity", [last], "embedding")]
    append_output(graph, nodes, "pool", "embedding", ["batch", dimensions or "dimensions"])
    prune(graph)


def _node(operator: str, inputs: list[str], output: str, **attributes: Any) -> Any:
    return helper.make_node(operator, inputs, [output], **attributes)


def _cls(hidden: str, output: str) -> list[Any]:
    return [_node("Gather", [hidden, "pool_zero"], output, axis=1)]


def _last_token(hidden: str, output: str) -> list[Any]:
    return [
        _node("ReduceSum", ["attention_mask", "pool_axis_1"], f"{output}_count", keepdims=1),
        _node("Sub", [f"{output}_count", "pool_one"], f"{output}_place"),
        _node("GatherND", [hidden, f"{output}_place"], output, batch_dims=1),
    ]


def _max(hidden: str, output: str) -> list[Any]:
    return [
        _node("Cast", ["pool_mask_3d"], f"{output}_is", to=TensorProto.BOOL),
        _node("Where", [f"{output}_is", hidden, "pool_least"], f"{output}_masked"),
        # ReduceMax has the disadvantage of ReduceL2, see `_normalized`.
        helper.make_node(
            "TopK", [f"{output}_masked", "pool_axis_1"], [f"{output}_top", f"{output}_at"], axis=1
        ),
        _node("Squeeze", [f"{output}_top", "pool_axis_1"], output),
    ]


def _mean(hidden: str, output: str) -> list[Any]:
    return _mean_with(hidden, "pool_mask", "pool_mask_3d", output)


def _mean_sqrt(hidden: str, output: str) -> list[Any]:
    """Divide the sum by the square root of the number of tokens."""
    nodes = _mean_with(hidden, "pool_mask", "pool_mask_3d", output)
    root = _node("Sqrt", [f"{output}_safe"], f"{output}_root")
    return [*nodes[:-1], root, _node("Div", [f"{output}_sum", f"{output}_root"], output)]


def _weighted_mean(hidden: str, output: str) -> list[Any]:
    """Weight tokens by their position, 1, 2, 3 and so on (SGPT, Muennighoff 2022, arXiv:2202.08904)."""
    flat, deep = f"{output}_weights", f"{output}_weights_3d"
    return [
        _node("CumSum", ["pool_mask", "pool_one"], f"{output}_places"),
        _node("Mul", [f"{output}_places", "pool_mask"], flat),
        _node("Unsqueeze", [flat, "pool_axis_last"], deep),
        *_mean_with(hidden, flat, deep, output),
    ]


def _mean_with(hidden: str, flat: str, deep: str, output: str) -> list[Any]:
    """Average with those weights, given as [batch, tokens] and as [batch, tokens, 1]."""
    return [
        _node("Mul", [hidden, deep], f"{output}_masked"),
        _node("ReduceSum", [f"{output}_masked", "pool_axis_1"], f"{output}_sum", keepdims=0),
        _node("ReduceSum", [flat, "pool_axis_1"], f"{output}_total", keepdims=1),
        _node("Max", [f"{output}_total", "pool_tiny"], f"{output}_safe"),
        _node("Div", [f"{output}_sum", f"{output}_safe"], output),
    ]


MODES: dict[str, Callable[[str, str], list[Any]]] = {
    "cls": _cls,
    "max": _max,
    "mean": _mean,
    "mean_sqrt_len_tokens": _mean_sqrt,
    "weightedmean": _weighted_mean,
    "lasttoken": _last_token,
}


def _dense(
    graph: Any, folder: Path, dense: Dense, last: str, name: str
) -> tuple[list[Any], str, int]:
    """Return the nodes of a Dense layer, the name of its output and that one's width."""
    from safetensors.numpy import load_file

    weights = load_file(folder / WEIGHTS)
    matrix = weights["linear.weight"].astype(np.float32)
    inputs = [last, add_constant(graph, f"{name}_weight", matrix)]
    if "linear.bias" in weights:
        inputs.append(
            add_constant(graph, f"{name}_bias", weights["linear.bias"].astype(np.float32))
        )
    nodes, output = [_node("Gemm", inputs, name, transB=1)], name
    if operator := ACTIVATIONS.get(dense.activation):
        nodes.append(_node(operator, [name], f"{name}_active"))
        output = f"{name}_active"
    return nodes, output, int(matrix.shape[0])


def _normalized(last: str) -> list[Any]:
    """Scale vectors to length 1.

    ReduceL2 would be one node, but ONNX Runtime's optimiser cannot infer its shape and then fuses next to nothing.
    """
    return [
        _node("Mul", [last, last], "pool_squares"),
        _node("ReduceSum", ["pool_squares", "pool_axis_last"], "pool_length", keepdims=1),
        _node("Sqrt", ["pool_length"], "pool_norm"),
        _node("Max", ["pool_norm", "pool_tiny"], "pool_safe_norm"),
        _node("Div", [last, "pool_safe_norm"], "embedding"),
    ]
