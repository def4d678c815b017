"""What a GGUF file says of itself, read without loading a weight and without trusting a byte of it.

Layout: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md. Magic, version, counts, then keys with typed values,
then names, shapes, types and offsets of the tensors; their bytes follow, aligned.
"""

import mmap
import struct
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

from build.sources.source import Unusable
from contracts.problems import Code

MAGIC, VERSIONS = b"GGUF", (2, 3)
# The struct formats of plain values by their number; 8 is a text and 9 an array.
PLAIN = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
TEXT, ARRAY = 8, 9
MOST_DIMENSIONS, ALIGNMENT = 4, 32


@dataclass(frozen=True, slots=True, kw_only=True)
class Header:
    """The file's keys, and of each tensor its shape and the name of its type."""

    keys: Mapping[str, Any]
    shapes: Mapping[str, tuple[int, ...]]
    types: Mapping[str, str]

    @property
    def architecture(self) -> str:
        return str(self.keys.get("general.architecture", ""))

    def of_model(self, key: str, default: Any = None) -> Any:
        """The value of a key that bears the architecture's name."""
        return self.keys.get(f"{self.architecture}.{key}", default)

    @property
    def quantization(self) -> str:
        """The type of most weights, and what else there is, such as "Q4_1, with Q8_0 and F32"."""
        weights: Counter[str] = Counter()
        for name, shape in self.shapes.items():
            weights[self.types[name]] += prod(shape)
        most, *others = (name for name, _ in weights.most_common())
        return f"{most}, with {' and '.join(others)}" if others else most


def read_header(path: Path) -> Header:
    """The header of a whole file; raises Unusable for one that is cut short or not GGUF."""
    with path.open("rb") as file:
        if file.read(4) != MAGIC:
            raise Unusable(
                Code.FILE_DAMAGED, "does not begin with GGUF; copy it again, or correct `source`"
            )
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            try:
                return _read(_Bytes(data, len(MAGIC)), path.name)
            except (struct.error, UnicodeDecodeError, KeyError, IndexError) as error:
                raise Unusable(
                    Code.FILE_DAMAGED,
                    f"{path.name} has no readable header ({error}); it is cut short or damaged, so copy it again",
                ) from error


@dataclass(slots=True)
class _Bytes:
    """Bytes, and how many of them were read."""

    data: mmap.mmap
    at: int

    def plain(self, form: str) -> Any:
        value: Any = struct.unpack_from(f"<{form}", self.data, self.at)[0]
        self.at += struct.calcsize(f"<{form}")
        return value

    def text(self) -> str:
        size = self.plain("Q")
        self.check(size)
        self.at += size
        return str(self.data[self.at - size : self.at], "utf-8")

    def value(self, kind: int) -> Any:
        if kind == TEXT:
            return self.text()
        if kind != ARRAY:
            return self.plain(PLAIN[kind])
        inner, count = self.plain("I"), self.plain("Q")
        if inner in PLAIN:
            form = f"<{self.check(count)}{PLAIN[inner]}"
            self.at += struct.calcsize(form)
            return list(struct.unpack_from(form, self.data, self.at - struct.calcsize(form)))
        return [self.value(inner) for _ in range(self.check(count))]

    def check(self, count: int) -> int:
        """Of things that take a byte at least, no more than bytes are left."""
        if count > len(self.data) - self.at:
            raise IndexError(f"{count} things in {len(self.data) - self.at} bytes")
        return count


def _read(data: _Bytes, name: str) -> Header:
    version = data.plain("I")
    if version not in VERSIONS:
        raise Unusable(
            Code.FORMAT_UNSUPPORTED,
            f"is GGUF of version {version}; 2 and 3 are read, so convert it again",
        )
    tensors, count = data.check(data.plain("Q")), data.check(data.plain("Q"))
    keys = {data.text(): data.value(data.plain("I")) for _ in range(count)}
    parts, alignment = keys.get("split.count", 1), keys.get("general.alignment", ALIGNMENT)
    if not isinstance(alignment, int) or alignment < 8 or alignment % 8:
        raise Unusable(
            Code.FILE_DAMAGED,
            f"has {alignment!r:.40} as general.alignment, where a multiple of 8 has to be; convert it again",
        )
    if parts not in (0, 1):
        raise Unusable(
            Code.FORMAT_UNSUPPORTED,
            "is one part of several; put them together with llama.cpp's gguf-split",
        )
    shapes, types, ends = _tensors(data, tensors)
    start = data.at + -data.at % alignment
    size, needed = len(data.data), start + max(ends, default=0)
    if size < needed:
        raise Unusable(
            Code.FILE_DAMAGED,
            f"{name} is {size} bytes but says {needed}; it is cut short, copy it again",
        )
    return Header(keys=keys, shapes=shapes, types=types)


def _tensors(
    data: _Bytes, count: int
) -> tuple[dict[str, tuple[int, ...]], dict[str, str], list[int]]:
    """Shapes and types by name, and where each tensor ends behind the header."""
    from gguf import GGML_QUANT_SIZES, GGMLQuantizationType

    shapes, types, ends = {}, {}, []
    for _ in range(count):
        name, dimensions = data.text(), data.plain("I")
        if not 0 < dimensions <= MOST_DIMENSIONS or name in shapes:
            raise IndexError(f"tensor {name!r} of {dimensions} dimensions")
        shapes[name] = tuple(data.plain("Q") for _ in range(dimensions))
        kind, offset = data.plain("I"), data.plain("Q")
        if kind not in set(GGMLQuantizationType):
            raise Unusable(
                Code.FORMAT_UNSUPPORTED,
                f"{name} is of type {kind}, which is not known; convert it again as Q8_0",
            )
        types[name] = GGMLQuantizationType(kind).name
        block, size = GGML_QUANT_SIZES[GGMLQuantizationType(kind)]
        if shapes[name][0] % block:
            raise IndexError(f"rows of {shapes[name][0]} in {name}, in blocks of {block}")
        ends.append(offset + prod(shapes[name]) // block * size)
    return shapes, types, ends
