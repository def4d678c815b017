"""The figures of a container's runs, as lines of CloudWatch's embedded metric format on its standard output.

SageMaker sends a container's output to CloudWatch Logs, which makes metrics of such lines by itself: the container
needs no agent, no AWS client and no permission, and its network may be isolated. A line is JSON, which queries of Logs
Insights read as well.

https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html
https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Generation_PutLogEvents.html
"""

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

NAMESPACE = "Turnout"
# The values of a metric that one line may have.
MAX_VALUES = 100
# Each metric and its unit.
UNITS = {
    "QueueLength": "Count",
    "BatchRequests": "Count",
    "BatchTokens": "Count",
    "Dropped": "Count",
    "QueueTime": "Milliseconds",
    "RunTime": "Milliseconds",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One run of the model: `queued` requests waited when it began, of which it took some.

    `tokens` is infinity for a model whose requests are not tokenised before they run.
    """

    queued: int
    requests: int
    dropped: int
    tokens: float
    waits_ms: tuple[float, ...]
    run_ms: float


class Metrics:
    """The figures since the last line, which is written when one of them has as many values as a line may have.

    `flush` writes the line before that; the container calls it each minute.
    """

    def __init__(self, write: Callable[[str], None]) -> None:
        self.write = write
        self.facts: Mapping[str, str] = {}
        self.values: dict[str, list[float]] = {}

    def record(self, run: Run) -> None:
        figures: dict[str, tuple[float, ...]] = {
            "QueueLength": (run.queued,),
            "BatchRequests": (run.requests,),
            "BatchTokens": (run.tokens,) if run.tokens < float("inf") else (),
            "Dropped": (run.dropped,),
            "QueueTime": run.waits_ms,
            "RunTime": (run.run_ms,),
        }
        if any(len(self.values.get(n, ())) + len(v) > MAX_VALUES for n, v in figures.items()):
            self.flush()
        for name, values in figures.items():
            self.values.setdefault(name, []).extend(round(value, 3) for value in values)

    def flush(self) -> None:
        """Write the figures since the last line; nothing if there were no runs."""
        found = {name: values for name, values in self.values.items() if values}
        self.values = {}
        if not found:
            return
        metrics = [{"Name": name, "Unit": UNITS[name]} for name in found]
        directive = {"Namespace": NAMESPACE, "Dimensions": [["Model"]], "Metrics": metrics}
        header = {"Timestamp": round(time.time() * 1e3), "CloudWatchMetrics": [directive]}
        self.write(json.dumps({"_aws": header, **self.facts, **found}))
