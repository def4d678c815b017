"""The errors of versions behind aliases, and the alarms that count them. Other alarms ring when their state is set."""

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

    def rings(self, alarm: Any, since: float) -> bool:
        """Return true if an alarm of moto's was in alarm at some time since then, and leave it in that state."""
        if alarm.state_value != "ALARM" and self._breaches(alarm, since):
            alarm.update_state("Threshold Crossed", "{}", "ALARM")
        return bool(alarm.state_value == "ALARM")

    def _breaches(self, alarm: Any, since: float) -> bool:
        counted = alarm.namespace == NAMESPACE and alarm.metric_name == METRIC
        if not counted or alarm.comparison_operator != AT_LEAST:
            return False
        wanted = {(one.name, one.value) for one in alarm.dimensions}
        period = float(alarm.period)
        counts = Counter(at // period for at, of in self.seen if at >= since and wanted <= of)
        return any(count >= float(alarm.threshold) for count in counts.values())
