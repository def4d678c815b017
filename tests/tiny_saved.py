"""A SavedModel and a TFLite file, written byte by byte: as much of them as is read without TensorFlow."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import flatbuffers

FLOAT32, INT32, STRING, INT64 = 1, 3, 7, 9
Fields = Sequence[tuple[int, Any]]


def message(*fields: tuple[int, Any]) -> bytes:
    """A message in Protocol Buffers' encoding: numbers, texts, and messages within."""
    out = b""
    for number, value in fields:
        if isinstance(value, int):
            out += varint(number << 3) + varint(value % (1 << 64))
        else:
            data = value.encode() if isinstance(value, str) else value
            out += varint(number << 3 | 2) + varint(len(data)) + data
    return out


def varint(value: int) -> bytes:
    out = b""
    while value > 127:
        out, value = out + bytes([value & 127 | 128]), value >> 7
    return out + bytes([value])


def tensors(number: int, tensors: Mapping[str, tuple[str, int, Sequence[int]]]) -> Fields:
    """A map of tensors: what each is called in the graph, its type and its sizes."""
    found = []
    for name, (reference, kind, sizes) in tensors.items():
        shape = message(*((2, message((1, size))) for size in sizes))
        info = message((1, reference), (2, kind), (3, shape))
        found.append((number, message((1, name), (2, info))))
    return found


IDS = {"ids": ("serving_ids:0", INT32, (-1, 16))}
SCORES = {"scores": ("call:0", FLOAT32, (-1, 3))}


def saved_model(
    folder: Path,
    *,
    inputs: Any = None,
    outputs: Any = None,
    operator: str = "Softmax",
    asset: str = "words.txt",
    key: str = "serving_default",
    tag: str = "serve",
) -> Path:
    """A SavedModel whose output is made by that operator, within a function, behind an Identity."""
    signature = message(*tensors(1, inputs or IDS), *tensors(2, outputs or SCORES))
    inner = [
        message((1, "last"), (2, operator), (3, "logits")),
        message((1, "same"), (2, "Identity"), (3, "last:softmax:0")),
    ]
    function = message(
        (1, message((1, "forward"), (3, message((1, "scores"))))),
        *((3, node) for node in inner),
        (4, message((1, "scores"), (2, "same:output:0"))),
    )
    called = message((1, "f"), (2, message((10, message((1, "forward"))))))
    nodes = [
        message((1, "serving_ids"), (2, "Placeholder")),
        message((1, "call"), (2, "StatefulPartitionedCall"), (3, "serving_ids"), (5, called)),
    ]
    graph = message(*((1, node) for node in nodes), (2, message((1, function))))
    whole = message(
        (1, message((4, tag))),
        (2, graph),
        (5, message((1, key), (2, signature))),
        (6, message((2, asset))),
    )
    folder.mkdir(parents=True)
    (folder / "saved_model.pb").write_bytes(message((1, 1), (2, whole)))
    return folder


def offsets(builder: Any, found: Sequence[int]) -> int:
    builder.StartVector(4, len(found), 4)
    for offset in reversed(found):
        builder.PrependUOffsetTRelative(offset)
    return int(builder.EndVector())


def numbers(builder: Any, found: Sequence[int]) -> int:
    builder.StartVector(4, len(found), 4)
    for number in reversed(found):
        builder.PrependInt32(number)
    return int(builder.EndVector())


def lite(path: Path, *, kind: int = 2, operator: int = 25, custom: str = "", size: int = 3) -> Path:
    """A TFLite file of one operator, from int32 tokens [any, 16] to scores [1, size]."""
    builder = flatbuffers.Builder(0)
    name = builder.CreateString(custom) if custom else 0
    builder.StartObject(4)
    builder.PrependInt8Slot(0, min(operator, 127), 0)
    if custom:
        builder.PrependUOffsetTRelativeSlot(1, name, 0)
    builder.PrependInt32Slot(3, operator, 0)
    code = builder.EndObject()
    shapes = (((1, 16), (-1, 16), kind, "serving_default_ids:0"), ((1, size), (), 0, "scores"))
    made = []
    for shape, signature, of, called in shapes:
        parts = [numbers(builder, shape), builder.CreateString(called), numbers(builder, signature)]
        builder.StartObject(8)
        builder.PrependUOffsetTRelativeSlot(0, parts[0], 0)
        builder.PrependInt8Slot(1, of, 0)
        builder.PrependUOffsetTRelativeSlot(3, parts[1], 0)
        if signature:
            builder.PrependUOffsetTRelativeSlot(7, parts[2], 0)
        made.append(builder.EndObject())
    lists = [offsets(builder, made), numbers(builder, [0]), numbers(builder, [1])]
    ends = [numbers(builder, [0]), numbers(builder, [1])]
    builder.StartObject(3)
    builder.PrependUOffsetTRelativeSlot(1, ends[0], 0)
    builder.PrependUOffsetTRelativeSlot(2, ends[1], 0)
    lists.append(offsets(builder, [builder.EndObject()]))
    builder.StartObject(5)
    for slot, part in enumerate(lists):
        builder.PrependUOffsetTRelativeSlot(slot, part, 0)
    graph = offsets(builder, [builder.EndObject()])
    codes = offsets(builder, [code])
    builder.StartObject(8)
    builder.PrependUOffsetTRelativeSlot(1, codes, 0)
    builder.PrependUOffsetTRelativeSlot(2, graph, 0)
    builder.Finish(builder.EndObject(), b"TFL3")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(bytes(builder.Output()))
    return path
