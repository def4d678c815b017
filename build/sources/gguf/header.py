"""The header of a GGUF file, read without a weight and without trusting a byte of it.

Layout: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md. Magic, version, counts, then keys with typed values,
then names, shapes, types and offsets of the tensors; their bytes follow, aligned. The gguf package's own reader trusts
every count, and takes 30 times as long (see DESIGN.md).
"""

import mmap
import struct
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

from build.sources.source import Unusable
from contracts.problems import Code

MAGIC, VERSIONS = b"GGUF", (2, 3)
# Struct formats of scalar values by the number of their type; 8 is text and 9 an array.
SCALARS = {
    0: "B",
    1: "b",
    2: "H",
    3: "h",
    4: "I",
    5: "i",
    6: "f",
    7: "?",
    10: "Q",
    11: "q",
    12: "d",
}
TEXT, ARRAY = 8, 9
# ggml's own limit (GGML_MAX_DIMS), and the alignment of a file that names none.
MAX_DIMENSIONS, ALIGNMENT = 4, 32
# Elements of an array and bytes of a text; the largest vocabularies have some 300,000 tokens.
# Sizes that a file claimed have overflowed buffers of llama.cpp (CVE-2026-27940, CVE-2026-33298).
MAX_COUNT = 1 << 24


@dataclass(frozen=True, slots=True, kw_only=True)
class Header:
    """Keys of a file; shape and type name of each tensor. Shapes begin with the length of a row, as in the file."""

    keys: Mapping[str, Any]
    shapes: Mapping[str, tuple[int, ...]]
    types: Mapping[str, str]

    @property
    def architecture(self) -> str:
        return str(self.keys.get("general.architecture", ""))

    def hyperparameter(self, key: str, default: Any = None) -> Any:
        """Return the value of a key that the file has under its architecture's name, such as "llama.block_count"."""
        return self.keys.get(f"{self.architecture}.{key}", default)

    @property
    def quantization(self) -> str:
        """Return the type of most weights and the other types, such as "Q4_1, with Q8_0 and F32"."""
        weights: Counter[str] = Counter()
        for name, shape in self.shapes.items():
            weights[self.types[name]] += prod(shape)
        first, *others = (name for name, _ in weights.most_common())
        return f"{first}, with {' and '.join(others)}" if others else first


def read_header(path: Path) -> Header:
    """Return the header of a file that is whole; raises Unusable if it is cut short or not GGUF."""
    with path.open("rb") as file:
        if file.read(4) != MAGIC:
            raise Unusable(
                Code.FILE_DAMAGED, "does not begin with GGUF; copy it again, or correct `source`"
            )
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            try:
                return _parse(_Cursor(data, len(MAGIC)), path.name)
            except (struct.error, ValueError) as error:  # UnicodeDecodeError is a ValueError
                raise Unusable(
                    Code.FILE_DAMAGED,
                    f"{path.name} has no readable header ({error}); it is cut short or damaged, so copy it again",
                ) from error


@dataclass(slots=True)
class _Cursor:
    """Bytes and the place of the next one; every method reads from there and moves on."""

    data: mmap.mmap
    at: int

    def scalar(self, form: str) -> Any:
        return self.scalars(form, 1)[0]

    def scalars(self, form: str, count: int) -> tuple[Any, ...]:
        form = f"<{self.bounded(count)}{form}"
        values = struct.unpack_from(form, self.data, self.at)
        self.at += struct.calcsize(form)
        return values

    def text(self) -> str:
        size = self.bounded(self.scalar("Q"))
        self.at += size
        return str(self.data[self.at - size : self.at], "utf-8")

    def value(self) -> Any:
        """Return a value of any type; raises ValueError for an array of arrays, which llama.cpp refuses as well."""
        kind = self.scalar("I")
        if kind != ARRAY:
            return self._of_kind(kind, 1)[0]
        kind, count = self.scalar("I"), self.scalar("Q")
        return list(self._of_kind(kind, count))

    def _of_kind(self, kind: int, count: int) -> Sequence[Any]:
        if kind == TEXT:
            return [self.text() for _ in range(self.bounded(count))]
        if kind not in SCALARS:
            raise ValueError(f"a value of type {kind}")
        return self.scalars(SCALARS[kind], count)

    def bounded(self, count: int) -> int:
        """Return the count; raises ValueError, before anything is allocated, if the file cannot hold as many."""
        if count > min(len(self.data) - self.at, MAX_COUNT):  # each element takes a byte at least
            raise ValueError(f"{count} elements in {len(self.data) - self.at} bytes")
        return count


def _parse(data: _Cursor, name: str) -> Header:
    version = data.scalar("I")
    if version not in VERSIONS:
        raise Unusable(
            Code.FORMAT_UNSUPPORTED,
            f"is GGUF of version {version}; 2 and 3 are read, so convert it again",
        )
    tensors, count = data.bounded(data.scalar("Q")), data.bounded(data.scalar("Q"))
    keys = {data.text(): data.value() for _ in range(count)}
    if len(keys) < count:  # gguf's reader, which transformers takes the weights from, stops at this
        raise ValueError("a key stands in it twice")
    alignment = keys.get("general.alignment", ALIGNMENT)
    if not isinstance(alignment, int) or alignment < 8 or alignment % 8:
        raise Unusable(
            Code.FILE_DAMAGED,
            f"has {alignment!r:.40} as general.alignment, which has to be a multiple of 8; convert it again",
        )
    if keys.get("split.count", 1) not in (0, 1):
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
            f"{name} has {size} bytes of the {needed} that its header lists; it is cut short, copy it again",
        )
    return Header(keys=keys, shapes=shapes, types=types)


def _tensors(
    data: _Cursor, count: int
) -> tuple[dict[str, tuple[int, ...]], dict[str, str], list[int]]:
    """Return shapes and type names by tensor, and the end of each tensor, in bytes from where the first begins."""
    from gguf import GGML_QUANT_SIZES, GGMLQuantizationType

    shapes, types, ends = {}, {}, []
    for _ in range(count):
        name, dimensions = data.text(), data.scalar("I")
        if not 0 < dimensions <= MAX_DIMENSIONS or name in shapes:
            raise ValueError(f"tensor {name!r} of {dimensions} dimensions")
        shapes[name] = data.scalars("Q", dimensions)
        kind, offset = data.scalar("I"), data.scalar("Q")
        if kind not in set(GGMLQuantizationType):
            raise Unusable(
                Code.FORMAT_UNSUPPORTED,
                f"{name} is of type {kind}, which is not known; convert it again as Q8_0",
            )
        types[name] = GGMLQuantizationType(kind).name
        block, size = GGML_QUANT_SIZES[GGMLQuantizationType(kind)]
        if shapes[name][0] % block:
            raise ValueError(f"rows of {shapes[name][0]} in {name}, in blocks of {block}")
        ends.append(offset + prod(shapes[name]) // block * size)
    return shapes, types, ends
