"""Parts of a file on their way into a bucket: what each is, and how far they are."""

import base64
import threading
from collections.abc import Callable
from dataclasses import dataclass

from images.registry.push import Moved
from turnout.push.kept import checksum_of

Told = Callable[[str, Moved], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One part of a file; `checksum` is its SHA-256 in base64, as S3 writes it."""

    number: int
    size: int
    checksum: str
    etag: str = ""


class Progress:
    """The progress of one file, whose parts end in several threads."""

    def __init__(self, path: str, told: Told, lock: threading.Lock) -> None:
        self._path, self._told, self._lock = path, told, lock
        self.moved = Moved()
        # Set by the thread of a part that could not be sent; no further part is read.
        self.failed = False

    def add(self, *, sent: int = 0, there: int = 0) -> None:
        with self._lock:
            self.moved = Moved(sent=self.moved.sent + sent, there=self.moved.there + there)
            self._told(self._path, self.moved)


def sizes_of(size: int, part: int) -> list[int]:
    """Return the bytes of each part of a file."""
    return [min(part, size - start) for start in range(0, size, part)]


def same(there: Part | None, size: int, checksum: str) -> Part | None:
    """Return the part that S3 has, if it is this one."""
    return there if there and (there.size, there.checksum) == (size, checksum) else None


def composite(parts: list[Part]) -> str:
    """Return the checksum that S3 has of an object of these parts: that of their checksums."""
    digests = b"".join(base64.b64decode(part.checksum) for part in parts)
    return checksum_of(digests)
