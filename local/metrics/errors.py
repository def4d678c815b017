"""The errors of versions behind aliases, and the alarms that count them."""

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

NAMESPACE, METRIC = "AWS/Lambda", "Errors"
AT_LEAST = "GreaterThanOrEqualToThreshold"


@dataclass(slots=True)
class Errors:
    """Errors with the dimensions that Lambda gives them, and their times in seconds of the Unix epoch.

    https://docs.aws.amazon.com/lambda/latest/dg/monitoring-metrics-view.html
    """

    seen: list[tuple[float, frozenset[tuple[str, str]]]] = field(default_factory=list)

    def add(self, at: float, function: str, alias: str, version: str) -> None:
        resource = f"{function}:{alias}"
        of = {"FunctionName": function, "Resource": resource, "ExecutedVersion": version}
        self.seen.append((at, frozenset(of.items())))

    def breach(self, alarm: Any, since: float) -> bool:
        """Return true if as many errors as an alarm of moto's is set to came in one of its periods since then."""
        if (alarm.namespace, alarm.metric_name) != (NAMESPACE, METRIC):
            return False
        wanted = {(one.name, one.value) for one in alarm.dimensions}
        period = float(alarm.period)
        counts = Counter(at // period for at, of in self.seen if at >= since and wanted <= of)
        return any(count >= float(alarm.threshold) for count in counts.values())
