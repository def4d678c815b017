"""The file of answers: line by line in the order of the rows, kept between runs, and under its name once it is whole.

What was written is never written again, so a run that was cut off goes on behind its last whole line.
"""

import fcntl
import json
import os
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from contracts.errors import TurnoutError


class BatchError(TurnoutError):
    """A batch cannot begin or go on."""

    code = "batch_failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswersFile:
    """The lines that are there, under a name of their own until all of them are."""

    path: Path
    file: IO[bytes]
    counts: Counter[str]

    @property
    def lines(self) -> int:
        return self.counts.total()

    def write(self, line: Mapping[str, Any]) -> None:
        """Append the answer of the next row, for good."""
        self.file.write(
            json.dumps(line, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"
        )
        self.file.flush()
        self.counts[kind(line)] += 1

    def finish(self) -> None:
        """Give the file its name."""
        os.fsync(self.file.fileno())
        partial(self.path).rename(self.path)
        _asked(self.path).unlink()


def kind(line: Mapping[str, Any]) -> str:
    """Return what an answer counts as: its tier, or the code of its error."""
    return str(line["error"]["code"] if "error" in line else line["tier"])


def partial(path: Path) -> Path:
    """Return the name of a file that is not whole yet."""
    return path.with_name(f"{path.name}.partial")


def _asked(path: Path) -> Path:
    return path.with_name(f"{path.name}.asked.json")


@contextmanager
def opened(path: Path, asked: Mapping[str, Any]) -> Iterator[AnswersFile]:
    """Open the answers to what is asked, behind the last whole line of an earlier run.

    Raise BatchError if there is a whole file, another run that writes it, or a part of one that was asked otherwise.
    """
    if path.exists():
        raise BatchError(f"{path} is there already; name another file by --out, or remove it")
    with partial(path).open("ab+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise BatchError(f"another run is writing {path}; wait for its end") from error
        _check_asked(path, asked, begun=file.tell() > 0)
        yield AnswersFile(path=path, file=file, counts=_whole_lines(file))


def _check_asked(path: Path, asked: Mapping[str, Any], *, begun: bool) -> None:
    document = json.loads(json.dumps(asked))
    if begun and _asked(path).is_file():
        before = json.loads(_asked(path).read_text("utf-8"))
        if other := [key for key in document if before.get(key) != document[key]]:
            raise BatchError(
                f"{partial(path)} has answers to another {' and '.join(other)}; name another file by --out, or remove "
                "it"
            )
    elif begun:
        raise BatchError(f"{partial(path)} is not of a batch; name another file by --out")
    _asked(path).write_text(json.dumps(document, indent=2) + "\n", "utf-8")


def _whole_lines(file: IO[bytes]) -> Counter[str]:
    """Return the lines by their kind, and cut off a last one that was not written whole."""
    counts, end = Counter[str](), 0
    file.seek(0)
    for line in file:
        if not line.endswith(b"\n"):
            break
        end += len(line)
        counts[kind(json.loads(line))] += 1
    file.truncate(end)
    file.seek(end)
    return counts
