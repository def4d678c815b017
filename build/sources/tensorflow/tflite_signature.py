"""The signature of a TFLite file, read without TensorFlow, which takes seconds to import.

The encoding is https://flatbuffers.dev/internals; field numbers are those of schema.fbs in
tensorflow/compiler/mlir/lite/schema.
"""

import struct
from pathlib import Path
from typing import Any

from flatbuffers import number_types as N
from flatbuffers.table import Table

from build.sources.source import Unusable
from build.sources.tensorflow.signature import Signature, Tensor
from contracts.problems import Code

IDENTIFIER = b"TFL3"
KINDS = (
    "float32",
    "float16",
    "int32",
    "uint8",
    "int64",
    "string",
    "bool",
    "int16",
    "complex64",
    "int8",
)
CUSTOM, DEQUANTIZE = 32, 6
# What keeps values from one run to the next, which the converter leaves as it is; files that were frozen have none.
STATE = {142: "VAR_HANDLE", 143: "READ_VARIABLE", 144: "ASSIGN_VARIABLE"}
ENDS = {25: "softmax", 14: "sigmoid"}
# How signatures of TensorFlow name the tensors of their inputs.
PREFIX = "serving_default_"


def read_signature(path: Path) -> Signature:
    """Return the inputs and outputs of the first graph; raises Unusable."""
    data = path.read_bytes()
    if data[4:8] != IDENTIFIER:
        raise Unusable(Code.FILE_DAMAGED, f"{path.name} is not a TFLite file; copy it again")
    try:
        return _signature(Table(data, struct.unpack_from("<I", data)[0]))
    except (
        struct.error,
        LookupError,
        TypeError,
        ValueError,
    ) as error:  # the last two of flatbuffers
        raise Unusable(
            Code.FILE_DAMAGED, f"{path.name} is cut short ({error}); copy it again"
        ) from error


def _signature(model: Table) -> Signature:
    graph = _tables(model, 2)[0]
    tensors = [_tensor(table) for table in _tables(graph, 0)]
    codes = _tables(model, 1)
    made: dict[int, tuple[int, int]] = {}
    for operator in _tables(graph, 3):
        code = codes[_number(operator, 0, N.Uint32Flags)]
        inputs = _numbers(operator, 1)
        made.update(
            dict.fromkeys(_numbers(operator, 2), (_builtin(code), inputs[0] if inputs else -1))
        )
    outputs = _numbers(graph, 2)
    return Signature(
        inputs=tuple(tensors[i] for i in _numbers(graph, 1)),
        outputs=tuple(tensors[i] for i in outputs),
        ends=tuple(_end(i, made) for i in outputs),
        foreign=tuple(sorted({name for code in codes if (name := _foreign(code))})),
        quantized=any(tensor.kind in ("int8", "uint8") for tensor in tensors),
    )


def _builtin(code: Table) -> int:
    """Return an operator's number; files from before 2020 have it in one byte."""
    return max(_number(code, 0, N.Int8Flags), _number(code, 3, N.Int32Flags))


def _foreign(code: Table) -> str:
    """Return the name of an operator that ONNX lacks, or "" for any other."""
    number = _builtin(code)
    return (_text(code, 1) or "custom") if number == CUSTOM else STATE.get(number, "")


def _tensor(table: Table) -> Tensor:
    kind = _number(table, 1, N.Int8Flags)
    # The shape with open sizes, if there are any; the other has 1 in their place.
    shape = _numbers(table, 7) or _numbers(table, 0)
    return Tensor(
        name=_text(table, 3).removeprefix(PREFIX).removesuffix(":0"),
        kind=KINDS[kind] if 0 <= kind < len(KINDS) else f"type {kind}",
        shape=tuple(max(0, size) for size in shape),
    )


def _end(tensor: int, made: dict[int, tuple[int, int]]) -> str:
    """Return "softmax" or "sigmoid" if such an operator makes the tensor, else ""; dequantization is passed over."""
    operator, source = made.get(tensor, (-1, -1))
    if operator == DEQUANTIZE:
        operator, source = made.get(source, (-1, -1))
    return ENDS.get(operator, "")


def _at(table: Table, field: int) -> int:
    """Return the place of a field's value, from the table's own; 0 if it is left out, which stands for 0 or empty."""
    return int(table.Offset(4 + 2 * field))


def _number(table: Table, field: int, kind: Any) -> int:
    at = _at(table, field)
    return int(table.Get(kind, table.Pos + at)) if at else 0


def _numbers(table: Table, field: int) -> tuple[int, ...]:
    at = _at(table, field)
    return tuple(table.GetVectorAsNumpy(N.Int32Flags, at).tolist()) if at else ()


def _text(table: Table, field: int) -> str:
    at = _at(table, field)
    return table.String(table.Pos + at).decode("utf-8", "replace") if at else ""


def _tables(table: Table, field: int) -> list[Table]:
    at = _at(table, field)
    if not at:
        return []
    start = table.Vector(at)
    places = range(start, start + 4 * table.VectorLen(at), 4)
    return [Table(table.Bytes, table.Indirect(place)) for place in places]
