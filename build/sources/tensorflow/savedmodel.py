"""What the saved_model.pb of a TensorFlow SavedModel says, read field by field: TensorFlow takes seconds to import.

Field numbers are those of tensorflow/core/protobuf/{saved_model,meta_graph}.proto and
tensorflow/core/framework/{graph,node_def,function,tensor_shape,types}.proto.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from build.sources.source import Unusable
from build.sources.tensorflow.protobuf import number_of, part, parts, table, text
from build.sources.tensorflow.signature import Signature, Tensor

FILE = "saved_model.pb"
KINDS = {1: "float32", 2: "float64", 3: "int32", 7: "string", 9: "int64", 10: "bool", 19: "float16"}
SERVE, DEFAULT = "serve", "serving_default"
# Operators of a program that reaches beyond its tensors. What saves and restores its own variables is not among them.
REACHING = {"ReadFile", "WriteFile", "MatchingFiles", "PyFunc", "PyFuncStateless", "EagerPyFunc"}
CALLS = {"StatefulPartitionedCall", "PartitionedCall"}
ENDS = {"Softmax": "softmax", "Sigmoid": "sigmoid"}
# How many nodes are looked through on the way to the one that makes an output.
STEPS = 64


@dataclass(frozen=True, slots=True)
class _Node:
    operator: str
    inputs: tuple[str, ...]
    function: str


Nodes = dict[str, _Node]


@dataclass(frozen=True, slots=True)
class _Function:
    """A function's outputs, what node makes each of them, and its nodes as they were written."""

    outputs: tuple[str, ...]
    made_by: dict[str, str]
    nodes: Sequence[memoryview]


def read_signature(folder: Path) -> Signature:
    """The signature it is served by; raises Unusable."""
    try:
        return _signature(_graph(memoryview((folder / FILE).read_bytes())))
    except (ValueError, LookupError) as error:
        raise Unusable(
            f"{FILE} is not a SavedModel, or cut short ({error}); copy it again"
        ) from error


def _graph(message: memoryview) -> memoryview:
    """The meta graph that is tagged for serving, after what it names outside of itself was looked at."""
    for graph in parts(message, 2):
        if SERVE in [bytes(tag).decode() for tag in parts(part(graph, 1), 4)]:
            break
    else:
        raise Unusable(f"{FILE} has no graph for serving; save it with `model.export(folder)`")
    for asset in parts(graph, 6):
        name = PurePosixPath(text(asset, 2))
        if name.is_absolute() or ".." in name.parts:
            raise Unusable(
                f"{FILE} names the file {str(name)!r}, outside of its folder; this is not read"
            )
    return graph


def _signature(graph: memoryview) -> Signature:
    signatures = table(graph, 5)
    named = sorted(key for key in signatures if not key.startswith("__"))
    key = DEFAULT if DEFAULT in named else (named or [""])[0]
    if not key or (key != DEFAULT and len(named) > 1):
        raise Unusable(
            f"{FILE} has no signature {DEFAULT}, but {', '.join(named) or 'none'}; save it with `model.export(folder)`"
        )
    inputs, outputs = (table(signatures[key], field) for field in (1, 2))
    library = part(part(graph, 2), 2)
    functions = {text(part(f, 1), 1): _function(f) for f in parts(library, 1)}
    nodes = parts(part(graph, 2), 1)
    operators = {text(node, 2) for node in nodes}
    operators |= {text(node, 2) for function in functions.values() for node in function.nodes}
    names = sorted(outputs)
    return Signature(
        key=key,
        inputs=tuple(_tensor(name, inputs[name]) for name in sorted(inputs)),
        outputs=tuple(_tensor(name, outputs[name]) for name in names),
        ends=tuple(_end(text(outputs[name], 1), nodes, functions) for name in names),
        foreign=tuple(sorted(operators & REACHING)),
    )


def _tensor(name: str, info: memoryview) -> Tensor:
    shape, kind = part(info, 3), number_of(info, 2)
    sizes = tuple(max(0, number_of(dim, 1)) for dim in parts(shape, 2))
    unknown = bool(number_of(shape, 3))
    return Tensor(name=name, kind=KINDS.get(kind, f"type {kind}"), shape=None if unknown else sizes)


def _function(message: memoryview) -> _Function:
    outputs = tuple(text(argument, 1) for argument in parts(part(message, 1), 3))
    made_by = {text(entry, 1): text(entry, 2) for entry in parts(message, 4)}
    return _Function(outputs, made_by, parts(message, 3))


def _read(messages: Sequence[memoryview]) -> Nodes:
    return dict(_node(message) for message in messages)


def _node(message: memoryview) -> tuple[str, _Node]:
    inputs = tuple(bytes(name).decode() for name in parts(message, 3))
    called = [text(part(value, 10), 1) for name, value in table(message, 5).items() if name == "f"]
    return text(message, 1), _Node(text(message, 2), inputs, "".join(called))


def _end(reference: str, nodes: Sequence[memoryview], functions: dict[str, _Function]) -> str:
    """What kind of operator makes a tensor, looked for through calls and through what changes nothing."""
    within = _read(nodes)
    for _ in range(STEPS):
        name, *rest = reference.lstrip("^").split(":")
        node = within.get(name)
        if node is None:
            return ""
        if node.operator in CALLS and node.function in functions:
            function = functions[node.function]
            output = function.outputs[int(rest[-1]) if rest else 0]
            reference, within = function.made_by[output], _read(function.nodes)
        elif node.operator == "Identity":
            reference = node.inputs[0]
        else:
            return ENDS.get(node.operator, "")
    return ""
