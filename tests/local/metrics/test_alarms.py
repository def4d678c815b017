"""Alarms of expressions over metrics in logs: what CloudWatch would make of the same lines."""

import json
import math
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from local.metrics.alarms import Alarms, checked
from local.metrics.embedded import Embedded
from local.metrics.expressions import NotModelled, value_of

NOW = 1_800_000_000.0
DIRECTIVE = {"Namespace": "N", "Dimensions": [["of"]], "Metrics": [{"Name": "m"}]}


def line(value: object, at: float = NOW, of: str = "a", **changes: object) -> str:
    head = {"Timestamp": int(at * 1e3), "CloudWatchMetrics": [DIRECTIVE]}
    return json.dumps({"of": of, "m": value, "_aws": head, **changes}) + "\n"


def query(name: str, stat: str, of: str = "a") -> Any:
    dimensions = [SimpleNamespace(name="of", value=of)]
    metric = SimpleNamespace(namespace="N", metric_name="m", dimensions=dimensions)
    stated = SimpleNamespace(metric=metric, period="600", stat=stat)
    return SimpleNamespace(id=name, expression=None, metric_stat=stated)


class Alarm:
    """An alarm as moto has it, over the mean of a metric."""

    def __init__(self, threshold: float = 0.5, of: str = "a") -> None:
        self.state_value, self.threshold = "OK", str(threshold)
        self.comparison_operator = "GreaterThanOrEqualToThreshold"
        mean = SimpleNamespace(id="mean", expression="sum / count", metric_stat=None)
        self.metric_data_queries = [
            mean, query("sum", "Sum", of), query("count", "SampleCount", of),
        ]  # fmt: skip

    def update_state(self, reason: str, data: str, state: str) -> None:
        self.state_value = state


@pytest.fixture
def alarms(tmp_path: Path) -> Alarms:
    return Alarms(embedded=Embedded(logs=tmp_path))


def write(alarms: Alarms, text: str, name: str = "f.log") -> None:
    with (alarms.embedded.logs / name).open("a") as file:
        file.write(text)


def rings(alarms: Alarms, alarm: Alarm, now: float = NOW) -> bool:
    return alarms.rings(alarm, since=NOW - 60, now=now)


def test_an_alarm_rings_once_its_expression_reaches_the_threshold(alarms: Alarms) -> None:
    alarm = Alarm()
    assert not rings(alarms, alarm)
    write(alarms, "plain text\n" + line([0, 0]) + line(1))
    assert not rings(alarms, alarm)
    write(alarms, line(1), "another.log")
    assert rings(alarms, alarm)
    # It stays so until its state is set.
    write(alarms, line([0] * 50))
    assert rings(alarms, alarm)


def test_a_line_counts_once_it_is_complete(alarms: Alarms) -> None:
    whole = line(1)
    write(alarms, whole[:20])
    assert not rings(alarms, Alarm())
    write(alarms, whole[20:])
    assert rings(alarms, Alarm())
    assert len(alarms.embedded.points()) == 1


@pytest.mark.parametrize(
    ("at", "rang"), [(NOW - 599, True), (NOW - 600, False), (NOW + 1, False)]
)  # fmt: skip
def test_what_is_not_in_the_period_does_not_count(alarms: Alarms, at: float, rang: bool) -> None:
    write(alarms, line(1, at))
    assert rings(alarms, Alarm()) is rang


@pytest.mark.parametrize(
    "text",
    [
        line(1, of="b"),
        line("text"),
        line(1, _aws={"Timestamp": 1}),
        line(1).replace('"m": 1', '"n": 1'),
        '{"_aws": broken\n',
    ],
)
def test_other_metrics_and_lines_without_one_do_not_count(alarms: Alarms, text: str) -> None:
    write(alarms, text)
    assert not rings(alarms, Alarm())


def test_an_alarm_of_another_comparison_does_not_ring_by_itself(alarms: Alarms) -> None:
    alarm = Alarm()
    alarm.comparison_operator = "LessThanThreshold"
    write(alarms, line(1))
    assert not rings(alarms, alarm)


def test_an_expression_is_arithmetic_as_cloudwatch_has_it() -> None:
    values = {"a": 6.0, "b": 2.0}
    assert value_of("a - b * LOG(1 + a / (b + 1)) + 0.5", values) == pytest.approx(
        6.5 - 2 * math.log(3)
    )
    with pytest.raises(KeyError):
        value_of("a + c", values)
    with pytest.raises(ZeroDivisionError):
        value_of("a / (b - 2)", values)


@pytest.mark.parametrize("expression", ["FILL(a, 0)", "a ** 2", "a if b else 1", "-a", "'a'"])
def test_what_is_not_evaluated_is_refused_by_its_name(expression: str) -> None:
    properties = {
        "Metrics": [
            {"Id": "e", "Expression": expression},
            {"Id": "a", "MetricStat": {"Stat": "Sum"}},
        ]
    }
    with pytest.raises(NotModelled, match="does not evaluate"):
        checked(properties)


def test_a_statistic_that_is_not_counted_is_refused(alarms: Alarms) -> None:
    with pytest.raises(ValueError, match="no statistic p99"):
        checked({"Metrics": [{"Id": "a", "MetricStat": {"Stat": "p99"}}]})
    assert checked({"MetricName": "Errors"}) == {"MetricName": "Errors"}
