"""The alarms that take a deployment back: those that ring by themselves, and any whose state is set."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from local.metrics.embedded import Embedded, Point
from local.metrics.errors import AT_LEAST, Errors
from local.metrics.expressions import value_of

Json = dict[str, Any]


@dataclass(slots=True, kw_only=True)
class Alarms:
    """Alarms over the errors of versions, and over expressions of metrics in logs.

    CloudWatch looks at them each minute, and here somebody does at any time.
    """

    embedded: Embedded
    errors: Errors = field(default_factory=Errors)

    def rings(self, alarm: Any, since: float, now: float) -> bool:
        """Return true if an alarm of moto's is in alarm, or was since then, and leave it in that state."""
        if alarm.state_value != "ALARM" and self._breaches(alarm, since, now):
            alarm.update_state("Threshold Crossed", "{}", "ALARM")
        return bool(alarm.state_value == "ALARM")

    def _breaches(self, alarm: Any, since: float, now: float) -> bool:
        if alarm.comparison_operator != AT_LEAST:
            return False
        if alarm.metric_data_queries:
            return self._evaluated(alarm.metric_data_queries, now) >= float(alarm.threshold)
        return self.errors.breach(alarm, since)

    def _evaluated(self, queries: list[Any], now: float) -> float:
        """Return the value of the expression among an alarm's queries: below any threshold where there is no data."""
        points, values = self.embedded.points(), {}
        for query in queries:
            if query.metric_stat:
                found = list(_values(points, query.metric_stat, now))
                if found:
                    sums = query.metric_stat.stat == "Sum"
                    values[query.id] = sum(found) if sums else float(len(found))
        (expression,) = (query.expression for query in queries if query.expression)
        try:
            return value_of(expression, values)
        except (KeyError, ArithmeticError):
            return float("-inf")


def _values(points: list[Point], stat: Any, now: float) -> Iterator[float]:
    """Yield the values of a metric in the period that ends now."""
    metric = stat.metric
    wanted = frozenset((one.name, one.value) for one in metric.dimensions)
    for point in points:
        if (point.namespace, point.metric) == (metric.namespace, metric.metric_name):
            if point.dimensions == wanted and now - float(stat.period) < point.at <= now:
                yield from point.values


def checked(properties: Json) -> Json:
    """Return the properties of an alarm; raise ValueError for an expression that is not evaluated here."""
    queries = properties.get("Metrics") or ()
    values = {one["Id"]: 1.0 for one in queries}
    for one in queries:
        if "Expression" in one:
            value_of(one["Expression"], values)
        elif one["MetricStat"]["Stat"] not in ("Sum", "SampleCount"):
            raise ValueError(
                f"the local cloud has no statistic {one['MetricStat']['Stat']} in an alarm"
            )
    return properties
