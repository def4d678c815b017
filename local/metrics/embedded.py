"""Metrics in lines of logs, in CloudWatch's embedded format.

https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

MARK = '"_aws"'


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """The values of a metric at a time in seconds of the Unix epoch."""

    at: float
    namespace: str
    metric: str
    dimensions: frozenset[tuple[str, str]]
    values: tuple[float, ...]


@dataclass(slots=True, kw_only=True)
class Embedded:
    """The metrics in a folder of logs. Each line is read once, when it is complete."""

    logs: Path
    read: dict[Path, int] = field(default_factory=dict)
    seen: list[Point] = field(default_factory=list)

    def points(self) -> list[Point]:
        """Return all points that there are by now."""
        for log in self.logs.glob("*.log"):
            with log.open("rb") as file:
                file.seek(self.read.get(log, 0))
                whole, _, _ = file.read().rpartition(b"\n")
            if whole:
                self.read[log] = self.read.get(log, 0) + len(whole) + 1
                for line in whole.decode("utf-8", "replace").splitlines():
                    self.seen.extend(points_of(line))
        return self.seen


def points_of(line: str) -> Iterator[Point]:
    """Yield the points of a line; none of one that is no object with metrics."""
    if MARK not in line:
        return
    try:
        document: dict[str, Any] = json.loads(line)
        head = document["_aws"]
        for directive in head["CloudWatchMetrics"]:
            for names in directive["Dimensions"]:
                for metric in directive["Metrics"]:
                    found = document[metric["Name"]]
                    yield Point(
                        at=head["Timestamp"] / 1e3,
                        namespace=directive["Namespace"],
                        metric=metric["Name"],
                        dimensions=frozenset((name, str(document[name])) for name in names),
                        values=tuple(map(float, found if isinstance(found, list) else [found])),
                    )
    except (ValueError, TypeError, KeyError):
        # CloudWatch keeps the line, and makes no metric of it.
        return
