"""Messages in Protocol Buffers' encoding, field by field, without the schema they were written by.

https://protobuf.dev/programming-guides/encoding
"""

from collections.abc import Iterator

VARINT, I64, LEN, I32 = 0, 1, 2, 5
Value = int | memoryview


class Cut(ValueError):
    """The bytes are no message, or end within one."""


def fields(message: memoryview) -> Iterator[tuple[int, Value]]:
    """Each field's number and value: a number, or the bytes of a text or of a message within; raises Cut."""
    place = 0
    while place < len(message):
        key, place = _varint(message, place)
        kind = key & 7
        if kind == VARINT:
            value, place = _varint(message, place)
            yield key >> 3, value
            continue
        size = {I64: 8, I32: 4}.get(kind)
        if kind == LEN:
            size, place = _varint(message, place)
        if size is None or place + size > len(message):
            raise Cut(f"it ends within a field, at byte {place}")
        yield key >> 3, message[place : place + size]
        place += size


def _varint(message: memoryview, place: int) -> tuple[int, int]:
    value = shift = 0
    while place < len(message) and shift < 70:
        byte = message[place]
        place += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value, place
        shift += 7
    raise Cut(f"it ends within a number, at byte {place}")


def parts(message: memoryview, number: int) -> list[memoryview]:
    """The texts or messages of that field."""
    return [value for n, value in fields(message) if n == number and isinstance(value, memoryview)]


def part(message: memoryview, number: int) -> memoryview:
    """The last of them, which is the one that holds; empty where there is none."""
    return (parts(message, number) or [memoryview(b"")])[-1]


def text(message: memoryview, number: int) -> str:
    return bytes(part(message, number)).decode("utf-8", "replace")


def number_of(message: memoryview, number: int) -> int:
    """The number in that field, 0 where there is none; negative ones come as two's complement of 64 bits."""
    found = [value for n, value in fields(message) if n == number and isinstance(value, int)]
    value = (found or [0])[-1]
    return value - (1 << 64) if value >> 63 else value


def table(message: memoryview, number: int) -> dict[str, memoryview]:
    """A map from texts to messages."""
    return {text(entry, 1): part(entry, 2) for entry in parts(message, number)}
