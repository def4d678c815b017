"""SentencePiece's normalisation of characters: the longest sequences that its map knows, replaced from left to right.

The `tokenizers` library has the same map, but replaces whole graphemes by what their first characters become, which
loses accents behind such characters.
https://github.com/google/sentencepiece/blob/v0.2.1/src/normalizer.cc (`NormalizePrefix`)
"""

import struct
from dataclasses import dataclass
from functools import cached_property

import numpy as np


@dataclass(frozen=True)
class Charsmap:
    """A map in SentencePiece's form: the length of a trie in bytes, the trie, and the texts that it leads to.

    The trie is a double array as Darts has it: https://github.com/s-yata/darts-clone
    """

    blob: bytes

    @cached_property
    def units(self) -> list[int]:
        """Return the units of the trie."""
        (size,) = struct.unpack_from("<I", self.blob)
        return list(np.frombuffer(self.blob, "<u4", count=size // 4, offset=4).tolist())

    @cached_property
    def texts(self) -> bytes:
        """Return the texts, each of which ends in a zero byte."""
        return self.blob[4 + 4 * len(self.units) :]

    def normalise(self, text: str) -> str:
        """Return the text with each sequence of characters replaced."""
        if not self.blob:
            return text
        encoded = text.encode("utf-8", "replace")
        place, made = 0, []
        while place < len(encoded):
            length, found = self._longest(encoded, place)
            if not length:
                length = _width(encoded[place])
                found = encoded[place : place + length]
            made.append(found)
            place += length
        return b"".join(made).decode("utf-8")

    def _longest(self, encoded: bytes, place: int) -> tuple[int, bytes]:
        """Return the length of the longest sequence from a place that the map knows, and what it becomes."""
        units, node, best, value = self.units, 0, 0, 0
        node ^= _offset(units[node])
        for at in range(place, len(encoded)):
            byte = encoded[at]
            node ^= byte
            if node >= len(units) or units[node] & 0x800000FF != byte:
                break
            unit = units[node]
            node ^= _offset(unit)
            if unit >> 8 & 1:
                best, value = at - place + 1, units[node] & 0x7FFFFFFF
        return best, self.texts[value : self.texts.index(b"\0", value)] if best else b""


def _offset(unit: int) -> int:
    return unit >> 10 << ((unit & 0x200) >> 6)


def _width(lead: int) -> int:
    """Return the bytes of the character that begins with that byte."""
    return 1 if lead < 0x80 else 2 if lead < 0xE0 else 3 if lead < 0xF0 else 4
