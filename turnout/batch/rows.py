"""The rows of a batch: a file of JSON lines, checked as a whole before the first is sent."""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

from contracts.problems import Code, Problem, ProblemsFound

KEYS = ("input", "parameters", "id")
MAX_PROBLEMS = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """An input with its parameters, from a line that is counted from 1; `id` is the caller's own, and goes along."""

    line: int
    input: Any
    parameters: Mapping[str, Any] = field(default_factory=dict)
    id: Any = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RowsFile:
    """A file of rows, with their number and the SHA-256 of its bytes."""

    path: Path
    count: int
    digest: str

    @classmethod
    def check(cls, path: Path) -> "RowsFile":
        """Read all of it; raise ProblemsFound with the first 20 lines that are no rows, or if there are none."""
        digest, problems, count = hashlib.sha256(), list[Problem](), 0
        with path.open("rb") as file:
            for number, line in enumerate(file, start=1):
                digest.update(line)
                if line.strip():
                    count += 1
                    problems += _problems(number, line)
                if len(problems) >= MAX_PROBLEMS:
                    raise ProblemsFound(path, problems)
        if not count and not problems:
            problems = [
                Problem(code=Code.ROWS_MISSING, message="has no line; write one for each input")
            ]
        if problems:
            raise ProblemsFound(path, problems)
        return cls(path=path, count=count, digest=digest.hexdigest())

    def rows(self, skip: int = 0) -> Iterator[Row]:
        """Yield the rows, without the first ones."""
        with self.path.open("rb") as file:
            lines = ((n, line) for n, line in enumerate(file, start=1) if line.strip())
            for number, line in islice(lines, skip, None):
                yield _row(number, json.loads(line))


def _row(number: int, value: Any) -> Row:
    return Row(line=number, **value) if _is_object(value) else Row(line=number, input=value)


def _is_object(value: object) -> bool:
    """Return True for a row that is written with its keys, False for an input alone."""
    return isinstance(value, dict) and "input" in value


def _problems(number: int, line: bytes) -> list[Problem]:
    try:
        value = json.loads(line)
    except ValueError as error:
        return [_invalid(number, f"is not JSON ({error})")]
    if not isinstance(value, str | dict):
        return [_invalid(number, 'must be a text in quotes, an input, or {"input": …}')]
    if not isinstance(value, dict) or "input" not in value:
        return []
    found = [
        _invalid(number, f"has the unknown key {key!r}; the keys are {', '.join(KEYS)}")
        for key in value
        if key not in KEYS
    ]
    if not isinstance(value["input"], str | dict):
        found.append(_invalid(number, "`input` must be a text or an object"))
    if not isinstance(value.get("parameters", {}), dict):
        found.append(_invalid(number, "`parameters` must be an object"))
    return found


def _invalid(number: int, message: str) -> Problem:
    return Problem(code=Code.ROWS_INVALID, message=message, where=f"line {number}")


def chunks(rows: Iterator[Row], size: int) -> Iterator[Sequence[Row]]:
    """Yield the rows in order, each time as many as one request takes: at most `size`, all with the same parameters."""
    chunk: list[Row] = []
    for row in rows:
        if chunk and (len(chunk) == size or row.parameters != chunk[0].parameters):
            yield chunk
            chunk = []
        chunk.append(row)
    if chunk:
        yield chunk
