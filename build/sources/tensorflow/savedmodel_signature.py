"""The signature of a TensorFlow SavedModel, read without TensorFlow, which takes seconds to import."""

from collections.abc import Iterable, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from google.protobuf.message import DecodeError

from build.sources.source import Unusable
from build.sources.tensorflow.schema import saved_model_class
from build.sources.tensorflow.signature import Signature, Tensor
from contracts.problems import Code

FILE = "saved_model.pb"
# Data types by their number in tensorflow/core/framework/types.proto.
KINDS = {1: "float32", 2: "float64", 3: "int32", 7: "string", 9: "int64", 10: "bool", 19: "float16"}
SERVE, DEFAULT = "serve", "serving_default"
# Operators of a program that reaches beyond its tensors. What saves and restores its own variables is not among them.
# https://github.com/tensorflow/tensorflow/blob/master/SECURITY.md
REACHING = {"ReadFile", "WriteFile", "MatchingFiles", "PyFunc", "PyFuncStateless", "EagerPyFunc"}
CALLS = {"StatefulPartitionedCall", "PartitionedCall"}
ENDS = {"Softmax": "softmax", "Sigmoid": "sigmoid"}
# Nodes followed at most on the way back from an output: functions of a damaged file may call each other in a circle.
MAX_STEPS = 64


def read_signature(folder: Path) -> Signature:
    """Return the signature that the model is served by; raises Unusable."""
    try:
        return _signature(_graph(saved_model_class().FromString((folder / FILE).read_bytes())))
    except (DecodeError, ValueError, LookupError) as error:
        raise Unusable(
            Code.FILE_DAMAGED, f"{FILE} is not a SavedModel, or cut short ({error}); copy it again"
        ) from error


def _graph(model: Any) -> Any:
    """Return the meta graph tagged for serving; raises Unusable if it names a file outside its folder."""
    for graph in model.meta_graphs:
        if SERVE in graph.meta_info_def.tags:
            break
    else:
        raise Unusable(
            Code.OUTPUTS_UNSUPPORTED,
            f"{FILE} has no graph for serving; save it with `model.export(folder)`",
        )
    for asset in graph.asset_file_def:
        name = PurePosixPath(asset.filename)
        if name.is_absolute() or ".." in name.parts:
            raise Unusable(
                Code.FILE_OUTSIDE,
                f"{FILE} names the file {str(name)!r}, outside of its folder; this is not read",
            )
    return graph


def _signature(graph: Any) -> Signature:
    signatures = _map(graph.signature_def)
    # `__saved_model_init_op` is TensorFlow's own.
    named = sorted(key for key in signatures if not key.startswith("__"))
    key = DEFAULT if DEFAULT in named else (named or [""])[0]
    if not key or (key != DEFAULT and len(named) > 1):
        raise Unusable(
            Code.OUTPUTS_UNSUPPORTED,
            f"{FILE} has no signature {DEFAULT}, but {', '.join(named) or 'none'}; save it with `model.export(folder)`",
        )
    inputs, outputs = _map(signatures[key].inputs), _map(signatures[key].outputs)
    nodes = graph.graph_def.node
    functions = {f.signature.name: f for f in graph.graph_def.library.function}
    bodies = [nodes, *(function.node_def for function in functions.values())]
    operators = {node.op for body in bodies for node in body}
    return Signature(
        key=key,
        # A map of Protocol Buffers has no order, so names are sorted.
        inputs=tuple(_tensor(name, inputs[name]) for name in sorted(inputs)),
        outputs=tuple(_tensor(name, outputs[name]) for name in sorted(outputs)),
        ends=tuple(_end(outputs[name].name, nodes, functions) for name in sorted(outputs)),
        foreign=tuple(sorted(operators & REACHING)),
    )


def _map(entries: Iterable[Any]) -> dict[str, Any]:
    return {entry.key: entry.value for entry in entries}


def _tensor(name: str, info: Any) -> Tensor:
    shape = info.tensor_shape
    sizes = tuple(max(0, dim.size) for dim in shape.dim)
    kind = KINDS.get(info.dtype, f"type {info.dtype}")
    return Tensor(name=name, kind=kind, shape=None if shape.unknown_rank else sizes)


def _end(tensor: str, nodes: Iterable[Any], functions: Mapping[str, Any]) -> str:
    """Return "softmax" or "sigmoid" if such an operator makes the tensor, else ""; calls and Identity are followed."""
    by_name = {node.name: node for node in nodes}
    for _ in range(MAX_STEPS):
        # A ^ in front marks a control input; a number behind a colon is that of the output.
        name, *output = tensor.lstrip("^").split(":")
        node = by_name.get(name)
        if node is None:
            return ""
        called = next((entry.value.func.name for entry in node.attr if entry.key == "f"), "")
        if node.op in CALLS and called in functions:
            function = functions[called]
            argument = function.signature.output_arg[int(output[-1]) if output else 0]
            tensor = _map(function.ret)[argument.name]
            by_name = {node.name: node for node in function.node_def}
        elif node.op == "Identity":
            tensor = node.input[0]
        else:
            return ENDS.get(node.op, "")
    return ""
