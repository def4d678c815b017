"""An ONNX file, checked before anything of it is used."""

from pathlib import Path
from typing import Any

import onnx
from google.protobuf.message import DecodeError
from onnx import TensorProto

from build.graph.edit import every_constant, every_node
from build.graph.opset import OPSET
from build.sources.source import Unusable
from contracts.problems import Code

# Domains of operators that ONNX Runtime implements; a graph's own functions add to them.
DOMAINS = {"", "ai.onnx", "ai.onnx.ml", "com.microsoft", "com.microsoft.nchwc"}


def read_graph(path: Path) -> Any:
    """Return the model without its external data; raise Unusable where the file cannot be built.

    Every reference to external data is checked before anything reads it: a path out of the folder would give away
    other files of this machine, and data cut short would fail deep inside a library.
    """
    if not path.stat().st_size:
        raise Unusable(Code.FILE_DAMAGED, f"{path.name} is empty; copy it again")
    try:
        # External data may have gigabytes, and their paths are not checked yet.
        model = onnx.load(path, load_external_data=False)
    except (DecodeError, ValueError) as error:
        raise Unusable(
            Code.FILE_DAMAGED,
            f"{path.name} is not an ONNX file, or cut short ({error}); copy it again",
        ) from error
    if not model.graph.node:
        raise Unusable(
            Code.FILE_DAMAGED, f"{path.name} is not an ONNX file, or has no nodes; copy it again"
        )
    if not model.graph.output:
        raise Unusable(Code.OUTPUTS_UNSUPPORTED, f"{path.name} has no outputs; export it again")
    _check_operators(path, model)
    for name, tensor in every_constant(model.graph):
        if tensor.data_location == TensorProto.EXTERNAL:
            _check_external(path, name, tensor)
    return model


def _check_operators(path: Path, model: Any) -> None:
    newest = onnx.defs.onnx_opset_version()
    # Both are names of ONNX's own domain.
    versions = [e.version for e in model.opset_import if e.domain in ("", "ai.onnx")]
    stated = f"operator set {versions[0]}" if versions else "no operator set"
    if not versions or not 1 <= versions[0] <= newest:
        raise Unusable(
            Code.FORMAT_UNSUPPORTED,
            f"{path.name} has {stated}; 1 to {newest} are known, so export it again for {OPSET}",
        )
    known = DOMAINS | {function.domain for function in model.functions}
    for node in every_node(model.graph):
        if node.domain not in known:
            raise Unusable(
                Code.OPERATOR_UNSUPPORTED,
                f"{path.name} has the operator {node.domain}.{node.op_type}, which ONNX Runtime lacks; "
                "export it again with operators of ONNX",
            )


def _check_external(path: Path, name: str, tensor: Any) -> None:
    """Raise Unusable unless a tensor's location is within the graph's folder, links resolved, and holds all of it."""
    entries = {entry.key: entry.value for entry in tensor.external_data}
    location = entries.get("location", "")
    inside = path.parent.resolve()
    # Such paths have got past onnx's own checks (CVE-2022-25882, CVE-2024-27318), and so have links (CVE-2026-27489).
    target = (inside / location).resolve()
    if not location or Path(location).is_absolute() or not target.is_relative_to(inside):
        raise Unusable(
            Code.FILE_OUTSIDE,
            f"{path.name} keeps {name} at {location!r}, outside of its folder; this is not read",
        )
    if not target.is_file():
        raise Unusable(
            Code.FILE_MISSING,
            f"{path.name} keeps {name} in {location}, which is not there; copy it too",
        )
    start, length = (entries.get(key) or "0" for key in ("offset", "length"))
    # `int` alone would take signs, spaces and underscores too.
    if not (start.isdecimal() and length.isdecimal()):
        raise Unusable(
            Code.FILE_DAMAGED,
            f"{path.name} keeps {name} at offset {start!r} with length {length!r}; both are whole numbers from 0 up, "
            "so export it again",
        )
    if int(start) + int(length) > target.stat().st_size:
        raise Unusable(
            Code.FILE_DAMAGED, f"{location} is shorter than {path.name} says; copy it again"
        )


def external_files(path: Path) -> list[Path]:
    """Return the files that hold tensors of the graph in a file, whether they exist or not."""
    return data_files(onnx.load(path, load_external_data=False).graph, path.parent)


def data_files(graph: Any, folder: Path) -> list[Path]:
    """Return the files that hold tensors of a graph in that folder, in the order of their names."""
    names = {
        entry.value
        for _, tensor in every_constant(graph)
        if tensor.data_location == TensorProto.EXTERNAL
        for entry in tensor.external_data
        if entry.key == "location"
    }
    return [folder / name for name in sorted(names)]
