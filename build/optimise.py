"""The exported graph, fused into the operators that ONNX Runtime has kernels for, with the task's head on it."""

from pathlib import Path
from typing import Any

import onnx
from onnx import TensorProto, helper

from build.quiet import quiet
from build.source import Source
from contracts.tasks import Task

# Architectures whose attention the optimiser knows by this name.
FUSED_AS = {"bert": "bert", "distilbert": "bert", "roberta": "bert", "xlm-roberta": "bert"}


def optimise(source: Source, exported: Path, destination: Path) -> Path:
    """Fuse, put pooling into the graph where the model is an encoder, and save to `destination`."""
    model = _fused(source, exported)
    if source.task is Task.FEATURE_EXTRACTION:
        add_pooling(model.graph, source.pooling, source.normalize)
    if not any(entry.domain == "com.microsoft" for entry in model.opset_import):
        # The fused operators are ONNX Runtime's own.
        model.opset_import.append(helper.make_opsetid("com.microsoft", 1))
    del model.metadata_props[:]
    model.producer_name, model.producer_version, model.doc_string = "turnout", "", ""
    onnx.checker.check_model(model, full_check=False)
    onnx.save(model, destination)
    return destination


def _fused(source: Source, exported: Path) -> Any:
    """The graph with attention, layer norms and GELU each as one operator, unchanged where none match."""
    if source.model_type not in FUSED_AS:
        return onnx.load(exported)
    from onnxruntime.transformers import optimizer

    with quiet():
        fused = optimizer.optimize_model(
            str(exported),
            model_type=FUSED_AS[source.model_type],
            num_heads=source.heads,
            hidden_size=source.hidden,
            opt_level=0,
        )
    return fused.model


def add_pooling(graph: Any, pooling: str, normalize: bool) -> None:
    """Make [batch, dimensions] out of [batch, tokens, dimensions], as sentence-transformers does."""
    hidden = graph.output[0].name
    width = graph.output[0].type.tensor_type.shape.dim[-1]
    nodes = _mean(hidden) if pooling == "mean" else _first(hidden)
    graph.initializer.extend(
        [
            helper.make_tensor("pool_axis_1", TensorProto.INT64, [1], [1]),
            helper.make_tensor("pool_axis_last", TensorProto.INT64, [1], [-1]),
            helper.make_tensor("pool_zero", TensorProto.INT64, [], [0]),
            helper.make_tensor("pool_tiny", TensorProto.FLOAT, [], [1e-9]),
        ]
    )
    if normalize:
        nodes += [
            helper.make_node("ReduceL2", ["pooled", "pool_axis_last"], ["pool_norm"], keepdims=1),
            helper.make_node("Max", ["pool_norm", "pool_tiny"], ["pool_safe_norm"]),
            helper.make_node("Div", ["pooled", "pool_safe_norm"], ["embedding"]),
        ]
    else:
        nodes.append(helper.make_node("Identity", ["pooled"], ["embedding"]))
    for number, node in enumerate(nodes):
        node.name = f"pool_{number}_{node.op_type}"
    graph.node.extend(nodes)
    del graph.output[:]
    shape: list[str | int] = ["batch", width.dim_value or "dimensions"]
    graph.output.append(helper.make_tensor_value_info("embedding", TensorProto.FLOAT, shape))


def _mean(hidden: str) -> list[Any]:
    return [
        helper.make_node("Cast", ["attention_mask"], ["pool_mask"], to=TensorProto.FLOAT),
        helper.make_node("Unsqueeze", ["pool_mask", "pool_axis_last"], ["pool_mask_3d"]),
        helper.make_node("Mul", [hidden, "pool_mask_3d"], ["pool_masked"]),
        helper.make_node("ReduceSum", ["pool_masked", "pool_axis_1"], ["pool_sum"], keepdims=0),
        helper.make_node("ReduceSum", ["pool_mask", "pool_axis_1"], ["pool_count"], keepdims=1),
        helper.make_node("Max", ["pool_count", "pool_tiny"], ["pool_safe_count"]),
        helper.make_node("Div", ["pool_sum", "pool_safe_count"], ["pooled"]),
    ]


def _first(hidden: str) -> list[Any]:
    return [helper.make_node("Gather", [hidden, "pool_zero"], ["pooled"], axis=1)]
