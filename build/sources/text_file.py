"""Text files that may be gzipped, read without trusting their length or that of their lines."""

import gzip
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, cast

from build.sources.source import Unusable
from contracts.problems import Code, Problem

GZIP = b"\x1f\x8b"
# Numbers and words as text pack to a tenth at best; what grows far more was made to fill memory or a disk. Small files
# may pack better, and are harmless.
MAX_GROWTH, HARMLESS_BYTES = 50, 1 << 20


def is_gzipped(path: Path) -> bool:
    with path.open("rb") as file:
        return path.suffix == ".gz" or file.read(len(GZIP)) == GZIP


@contextmanager
def opened(path: Path) -> Iterator[BinaryIO]:
    """Yield the file, unpacked if it is gzipped; raises Unusable if reading it fails within the block."""
    try:
        with gzip.open(path) if is_gzipped(path) else path.open("rb") as file:
            # A GzipFile is read like any binary file, but has no common type with it.
            yield cast(BinaryIO, file)
    except (EOFError, OSError, zlib.error) as error:
        raise Unusable(Code.FILE_DAMAGED, f"cannot be read ({error}); copy it again") from error


def lines(path: Path, max_bytes: int) -> Iterator[tuple[int, bytes]]:
    """Yield each line with its number, from 1; raises Unusable for a line or a whole that is too long."""
    left = max(HARMLESS_BYTES, MAX_GROWTH * path.stat().st_size)
    with opened(path) as file:
        number = 0
        while line := file.readline(max_bytes):
            number, left = number + 1, left - len(line)
            if left < 0:
                message = (
                    f"unpacks to more than {MAX_GROWTH} times its size; unpack it yourself and look"
                )
                raise Unusable(Code.FILE_DAMAGED, message)
            if len(line) == max_bytes:
                message = (
                    f"longer than {max_bytes} bytes, as no line of such a file is; correct `source`"
                )
                problem = Problem(code=Code.FORMAT_UNKNOWN, where=f"line {number}", message=message)
                raise Unusable.listing([problem])
            yield number, line
