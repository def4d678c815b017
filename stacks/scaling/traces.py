"""Traces of requests: when each arrived, from the API's access log or from a published trace."""

import csv
import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from contracts.errors import TurnoutError

FORMS = (
    "lines of JSON with `time_ms` (the API's access log) or `timestamp` (milliseconds, as Mooncake's traces), or CSV "
    "with a column TIMESTAMP (as Azure's traces)"
)
# Of a trace without dates, such as Mooncake's: a Monday at midnight, UTC.
A_MONDAY = datetime(2024, 1, 1, tzinfo=UTC).timestamp()
# The end of the year 9999, after which Python knows no date.
LATEST = 253_402_300_800.0
# Of the lines without a time, so many are named.
SHOWN = 10


class UnreadableTrace(TurnoutError):
    """A file is no trace of requests."""

    code = "trace_invalid"


@dataclass(frozen=True, slots=True, kw_only=True)
class Trace:
    """Arrivals in seconds after `begins` (Unix epoch), in order, of a period of `seconds`."""

    begins: float
    seconds: float
    arrivals: tuple[float, ...]


def read_trace(path: Path) -> Trace:
    """Return the trace of a file; raise UnreadableTrace with the lines that are none."""
    try:
        lines = path.read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UnreadableTrace(f"{path} cannot be read: {error}; name a file of {FORMS}") from error
    times = _csv(path, lines) if lines[:1] and not lines[0].startswith("{") else _json(path, lines)
    if len(times) < 2:
        raise UnreadableTrace(f"{path} has {len(times)} requests; a trace has at least 2")
    times.sort()
    first, last = times[0], times[-1]
    begins = first if first >= A_MONDAY / 10 else A_MONDAY
    return Trace(begins=begins, seconds=last - first, arrivals=tuple(t - first for t in times))


def _csv(path: Path, lines: list[str]) -> list[float]:
    """Return the moments of a CSV's column TIMESTAMP, whose times are UTC."""

    def moment(row: Any) -> float:
        # Azure has seven digits of a second; Python reads six.
        text = row["TIMESTAMP"].strip()[:26]
        return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()

    return _moments(path, csv.DictReader(lines), moment, first_line=2)


def _json(path: Path, lines: list[str]) -> list[float]:
    """Return the moments of lines of JSON."""

    def moment(line: str) -> float:
        row = json.loads(line)
        # The gateway writes every value of its log as text.
        return float(row["time_ms" if "time_ms" in row else "timestamp"]) / 1000

    return _moments(path, (line for line in lines if line.strip()), moment, first_line=1)


def _moments(
    path: Path, rows: Iterable[Any], moment: Callable[[Any], float], *, first_line: int
) -> list[float]:
    found: list[float] = []
    wrong: list[int] = []
    for number, row in enumerate(rows, first_line):
        try:
            at = moment(row)
        except (KeyError, TypeError, ValueError, AttributeError):
            wrong.append(number)
            continue
        # JSON as Python reads it has NaN and Infinity.
        if 0 <= at < LATEST:
            found.append(at)
        else:
            wrong.append(number)
    if wrong:
        more = f" and {len(wrong) - SHOWN} more" if len(wrong) > SHOWN else ""
        lines = ", ".join(str(number) for number in wrong[:SHOWN])
        raise UnreadableTrace(
            f"{path}, line{'s' if len(wrong) > 1 else ''} {lines}{more}: no time of a request can be read; "
            f"a trace is {FORMS}"
        )
    return found
