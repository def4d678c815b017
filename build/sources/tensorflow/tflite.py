"""What a TFLite file says of itself, read table by table: TensorFlow takes seconds to import.

The encoding is https://flatbuffers.dev/internals; field numbers are those of schema.fbs in
tensorflow/compiler/mlir/lite/schema.
"""

import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from build.sources.source import Unusable
from build.sources.tensorflow.signature import Signature, Tensor

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


@dataclass(frozen=True, slots=True)
class _Table:
    """A table at a place in the file."""

    data: bytes
    place: int

    @classmethod
    def root(cls, data: bytes) -> Self:
        return cls(data, struct.unpack_from("<I", data)[0])

    def _at(self, field: int) -> int:
        """Where a field's value stands; 0 where it was left out."""
        entries = self.place - struct.unpack_from("<i", self.data, self.place)[0]
        entry = 4 + 2 * field
        if entry >= struct.unpack_from("<H", self.data, entries)[0]:
            return 0
        offset: int = struct.unpack_from("<H", self.data, entries + entry)[0]
        return self.place + offset if offset else 0

    def number(self, field: int, form: str) -> int:
        at = self._at(field)
        value: int = struct.unpack_from(form, self.data, at)[0] if at else 0
        return value

    def _vector(self, field: int) -> tuple[int, int]:
        """Where a vector's first element stands, and how many it has; texts are vectors of bytes."""
        at = self._at(field)
        if not at:
            return 0, 0
        start = at + struct.unpack_from("<I", self.data, at)[0]
        return start + 4, struct.unpack_from("<I", self.data, start)[0]

    def text(self, field: int) -> str:
        start, count = self._vector(field)
        return self.data[start : start + count].decode("utf-8", "replace")

    def numbers(self, field: int) -> tuple[int, ...]:
        start, count = self._vector(field)
        return struct.unpack_from(f"<{count}i", self.data, start) if count else ()

    def tables(self, field: int) -> list[Self]:
        start, count = self._vector(field)
        return [
            type(self)(self.data, place + struct.unpack_from("<I", self.data, place)[0])
            for place in range(start, start + 4 * count, 4)
        ]


def read_signature(path: Path) -> Signature:
    """What its first graph takes and answers; raises Unusable."""
    data = path.read_bytes()
    if data[4:8] != IDENTIFIER:
        raise Unusable(f"{path.name} is not a TFLite file; copy it again")
    try:
        return _signature(_Table.root(data))
    except (struct.error, LookupError, MemoryError, OverflowError) as error:
        raise Unusable(f"{path.name} is cut short ({error}); copy it again") from error


def _signature(model: _Table) -> Signature:
    graph = model.tables(2)[0]
    tensors = [_tensor(table) for table in graph.tables(0)]
    codes = model.tables(1)
    made: dict[int, tuple[int, int]] = {}
    for operator in graph.tables(3):
        code = codes[operator.number(0, "<I")]
        inputs = operator.numbers(1)
        made.update(
            dict.fromkeys(operator.numbers(2), (_builtin(code), inputs[0] if inputs else -1))
        )
    outputs = graph.numbers(2)
    return Signature(
        inputs=tuple(tensors[i] for i in graph.numbers(1)),
        outputs=tuple(tensors[i] for i in outputs),
        ends=tuple(_end(i, made) for i in outputs),
        foreign=tuple(sorted({name for code in codes if (name := _foreign(code))})),
        quantized=any(tensor.kind in ("int8", "uint8") for tensor in tensors),
    )


def _builtin(code: _Table) -> int:
    """An operator's number; files from before 2020 have it in one byte."""
    return max(code.number(0, "<b"), code.number(3, "<i"))


def _foreign(code: _Table) -> str:
    """An operator that ONNX has not, by its name; "" where it may have it."""
    number = _builtin(code)
    return (code.text(1) or "custom") if number == CUSTOM else STATE.get(number, "")


def _tensor(table: _Table) -> Tensor:
    kind = table.number(1, "<b")
    shape = table.numbers(7) or table.numbers(0)
    return Tensor(
        name=table.text(3).removeprefix(PREFIX).removesuffix(":0"),
        kind=KINDS[kind] if kind < len(KINDS) else f"type {kind}",
        shape=tuple(max(0, size) for size in shape),
    )


def _end(tensor: int, made: dict[int, tuple[int, int]]) -> str:
    operator, source = made.get(tensor, (-1, -1))
    if operator == DEQUANTIZE:
        operator, source = made.get(source, (-1, -1))
    return ENDS.get(operator, "")
