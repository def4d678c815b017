"""The checksums of a file's parts, kept on disk as they are computed: a push that was cut off reads no part again.

Of each file there is a record of JSON lines: which version of which file, and then each part in turn, with the state of
the hash of the whole behind it. A record is never believed of bytes: what is sent is hashed once more, and compared.
"""

import base64
import fcntl
import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

from turnout.push.sha256 import begun, resumed

MIB = 1 << 20
PART = 16 * MIB
# https://docs.aws.amazon.com/AmazonS3/latest/userguide/qfacts.html
MAX_PARTS = 10_000
# The folder of records of a project; it may be deleted at any time.
KEPT = Path(".turnout/push")


def part_size(size: int, least: int = PART) -> int:
    """Return the bytes of each part of a file: no more parts than S3 takes."""
    needed = -(-size // MAX_PARTS)
    return max(least, -(-needed // MIB) * MIB)


def checksum_of(body: bytes) -> str:
    """Return the SHA-256 of a part in base64, as S3 writes it."""
    return base64.b64encode(hashlib.sha256(body).digest()).decode()


class PartsRecord:
    """The first parts of one version of a file: their checksums, and the hash of all together.

    `changed` is set once the file has other bytes than it had.
    """

    def __init__(self, part: int, lines: IO[str] | None = None, version: str = "") -> None:
        """Read the record's file, which is begun anew where it is of another version."""
        self.part, self.checksums = part, list[str]()
        self._whole, self._lines = begun(), lines
        self.changed = False
        if lines and not self._read(lines, [version, part]):
            self.checksums, self._whole = [], begun()
            self._begin([version, part])

    @property
    def end(self) -> int:
        """Return the byte at which the next part begins."""
        return len(self.checksums) * self.part

    @property
    def sha256(self) -> str:
        """Return the digest of all parts so far."""
        return self._whole.hexdigest()

    def known(self, number: int) -> str:
        """Return the checksum of a part, counted from 1; empty for one that was never read."""
        return self.checksums[number - 1] if number <= len(self.checksums) else ""

    def is_of(self, number: int, body: bytes) -> bool:
        """Return whether a part has the bytes that it had before; the next one that was never read is kept."""
        known = self.known(number)
        self.changed = bool(known) and known != checksum_of(body)
        if not known:
            self.add(body)
        return not self.changed

    def add(self, body: bytes) -> str:
        """Keep the next part; return its checksum."""
        checksum = checksum_of(body)
        self._whole.update(body)
        self.checksums.append(checksum)
        self._write([checksum, self._whole.state()])
        return checksum

    def forget(self) -> None:
        """Keep nothing of it for the next push."""
        if self._lines:
            self._lines.truncate(0)
            self._lines = None

    def _read(self, lines: IO[str], wanted: list[Any]) -> bool:
        """Take over the parts that a record has; return False for one that is of something else."""
        lines.seek(0)
        state, end = "", 0
        for number, line in enumerate(lines.read().splitlines(keepends=True)):
            # The last line of a process that was killed while it wrote may have no end.
            found = _json(line)
            if found is None or (number == 0 and found != wanted):
                break
            if number:
                checksum, state = map(str, found)
                self.checksums.append(checksum)
            end += len(line)
        whole = resumed(state)
        if whole is None:
            return False
        self._whole = whole
        lines.seek(end)
        lines.truncate()
        return True

    def _begin(self, version: list[Any]) -> None:
        if self._lines:
            self._lines.seek(0)
            self._lines.truncate()
        self._write(version)

    def _write(self, line: list[Any]) -> None:
        """Add a line; without room for it, the rest of the push is not kept."""
        try:
            if self._lines:
                self._lines.write(json.dumps(line) + "\n")
                self._lines.flush()
        except OSError:
            self._lines = None


class Kept:
    """The records in a folder, none without one; `part` is the least size of a part in bytes."""

    def __init__(self, folder: Path | None = None, part: int = PART) -> None:
        self._folder, self.part = folder, part

    @contextmanager
    def record(self, place: str, version: str, size: int) -> Iterator[PartsRecord]:
        """Yield the record of a file, which no other push has at the same time."""
        part = part_size(size, self.part)
        lines = self._opened(place) if size > part else None
        if lines is None:
            yield PartsRecord(part)
            return
        try:
            yield PartsRecord(part, lines, version)
        finally:
            # Of a full disk the end of a file tells again.
            with suppress(OSError):
                lines.close()

    def _opened(self, place: str) -> IO[str] | None:
        """Return the file of a record; None where it cannot be written, or another push has it."""
        if self._folder is None:
            return None
        path = self._folder / f"{hashlib.sha256(place.encode()).hexdigest()}.jsonl"
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            file = path.open("a+", encoding="utf-8")
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                file.close()
                return None
        except OSError:
            return None
        return file


def _json(line: str) -> list[Any] | None:
    """Return the pair that a whole line has; None for a line that was not written to its end."""
    try:
        found = json.loads(line) if line.endswith("\n") else None
    except ValueError:
        return None
    return found if isinstance(found, list) and len(found) == 2 else None
