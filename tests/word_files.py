"""Files of word vectors: trained ones that gensim's package brings along, and small ones that are written here."""

import struct
from collections.abc import Mapping, Sequence
from pathlib import Path

from gensim.test.utils import datapath

MAGIC = 793_712_314
Table = Mapping[str, Sequence[float]]

TINY: Table = {
    "king": (0.9, 0.1, 0.0, 0.3),
    "queen": (0.8, 0.2, 0.1, 0.4),
    "man": (0.5, -0.4, 0.0, 0.1),
    "woman": (0.4, -0.3, 0.1, 0.2),
    "7": (-0.7, 0.5, 0.25, -1.0),
    "новый": (0.0, 0.0, 1.5, -0.5),
}


def trained(name: str) -> Path:
    """One of the files in gensim's package."""
    return Path(datapath(name))


def as_text(table: Table, *, header: bool = False) -> bytes:
    lines = [f"{len(table)} {len(next(iter(table.values())))}"] if header else []
    lines += [f"{word} {' '.join(map(str, row))}" for word, row in table.items()]
    return ("\n".join(lines) + "\n").encode()


def as_binary(table: Table, *, ends: bool = True) -> bytes:
    """word2vec's binary form; some tools leave the line ends out."""
    parts = [f"{len(table)} {len(next(iter(table.values())))}\n".encode()]
    for word, row in table.items():
        parts += [word.encode(), b" ", struct.pack(f"<{len(row)}f", *row), b"\n" * ends]
    return b"".join(parts)


def as_fasttext(
    table: Table,
    ngrams: Sequence[Sequence[float]] = (),
    *,
    shortest: int = 3,
    longest: int = 6,
    version: int = 12,
    labels: int = 0,
    quantized: bool = False,
    raw: Sequence[bytes] | None = None,
) -> bytes:
    """fastText's own form; `raw` are the words as bytes, where they are to be no UTF-8."""
    words = [word.encode() for word in table] if raw is None else list(raw)
    rows = [*table.values(), *ngrams]
    width = len(rows[0])
    arguments = (width, 5, 5, 1, 5, 1, 2, 2, len(ngrams), shortest, longest, 100, 1e-4)
    parts = [
        struct.pack("<ii", MAGIC, version),
        struct.pack("<12id", *arguments),
        struct.pack("<iiiqq", len(words) + labels, len(words), labels, 100, -1),
    ]
    parts += [word + b"\0" + struct.pack("<qb", 3, 0) for word in words]
    parts.append(struct.pack("<?qq", quantized, len(rows), width))
    parts += [struct.pack(f"<{width}f", *row) for row in rows]
    return b"".join(parts)
