"""Metrics of predictions in CloudWatch's embedded format: they lie in the line of log, so that nothing is sent.

https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html
"""

import time
from collections.abc import Mapping
from typing import Any

NAMESPACE = "Turnout"
# Each metric is billed for each set of values of its dimensions, in the hours in which it comes: two for each tier of a
# model, and two more of one that writes. The requests are counted by each of them (`SampleCount`), and the mean of the
# errors is their share. Those by reason come only with an answer of another tier than the wanted one: where all is well
# there is none.
BY_TIER, BY_REASON = ("deployment", "model", "tier"), ("deployment", "model", "reason")


def metrics(deployment: str, fields: Mapping[str, Any]) -> dict[str, Any]:
    """Return the members that make a line of log one of metrics; none if the request reached no tier."""
    if "tier" not in fields:
        return {}
    # The unit of a count is none.
    directives = [_directive(BY_TIER, {"Name": "errors"}, {"Name": "ms", "Unit": "Milliseconds"})]
    # A stream that fails has its status sent by then.
    failed = fields["status"] >= 500 or ("unfinished" in fields and "problem" in fields)
    values = {"errors": int(failed)}
    # Of generated texts.
    directives += [
        _directive(BY_TIER, {"Name": name}) for name in ("tokens", "confidence") if name in fields
    ]
    if "first_ms" in fields:
        directives.append(_directive(BY_TIER, {"Name": "first_ms", "Unit": "Milliseconds"}))
    if "fallback" in fields:
        directives.append(_directive(BY_REASON, {"Name": "fallback"}, {"Name": "degraded"}))
    if "escalated" in fields:
        # Of `inputs`, those that the CPU tier was not certain of.
        directives.append(_directive(BY_TIER, {"Name": "escalated"}))
    head = {"Timestamp": time.time_ns() // 1_000_000, "CloudWatchMetrics": directives}
    return {"deployment": deployment, **values, "_aws": head}


def _directive(dimensions: tuple[str, ...], *metrics: dict[str, str]) -> dict[str, Any]:
    return {"Namespace": NAMESPACE, "Dimensions": [[*dimensions]], "Metrics": [*metrics]}
