"""The units that one request takes of each priced service, part by part: front door, router, model, logs, answer.

Not counted, since nothing here measures it: the network between router and tier, for which the router waits as well,
and starts, of which INIT is billed like a request.
"""

import json
import math
from collections.abc import Mapping

from contracts.api.registry import APIS
from contracts.limits import FLOAT_JSON_BYTES, LAMBDA_MB_PER_VCPU, ROUTER_MEMORY_MB
from contracts.tasks import Task
from stacks.costs.prices import price

# Units by the name of their price.
Units = Mapping[str, float]
Parts = Mapping[str, Units]

# Of the router's own, on one whole vCPU: the median of `benchmarks.overhead`.
ROUTER_MS = 2.5
# Lambda bills each started millisecond, of which half is left on average.
# https://aws.amazon.com/lambda/pricing/
STARTED_MS = 0.5
MB_PER_GB = 1024
BYTES_PER_GB = 1024**3
# The gateway counts a request for each started 512 KiB, the caller's or the answer's.
# https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-vs-rest.html
METERED_BYTES = 512 * 1024

# Bytes of a request's lines: the gateway's access log, the router's own, and START, END and REPORT of each run.
# https://docs.aws.amazon.com/lambda/latest/dg/monitoring-cloudwatchlogs-view.html
GATEWAY_LINE = 330
ROUTER_LINE = 400
LAMBDA_LINES = 260
# What an answer says besides its output: model, version, tier, reason, milliseconds.
ANSWER_HEAD = 120


def billed_ms(ms: float, memory_mb: int) -> float:
    """Return the milliseconds that Lambda bills for a run that takes `ms` on one whole vCPU, or on the function's many.

    With less than one vCPU it takes longer by as much.
    """
    return ms / min(1.0, memory_mb / LAMBDA_MB_PER_VCPU) + STARTED_MS


def function_run(memory_mb: int, billed: float) -> Units:
    """Return the units of one run of a function with so many billed milliseconds."""
    return {
        "lambda_request": 1.0,
        "lambda_gb_second": memory_mb / MB_PER_GB * billed / 1e3,
    }


def request_parts(waits_ms: float, model: Units, answer_bytes: float) -> Parts:
    """Return the units of one request by its parts.

    `waits_ms` is how long the router waits for the tier, which Lambda bills as well; `model` are the units of the tier
    itself, none for one that is billed by the hour.
    """
    own = billed_ms(ROUTER_MS, ROUTER_MEMORY_MB)
    lines = GATEWAY_LINE + ROUTER_LINE + LAMBDA_LINES * (1 + ("lambda_request" in model))
    return {
        "front door": {"http_request": max(1, math.ceil(answer_bytes / METERED_BYTES))},
        "router": function_run(ROUTER_MEMORY_MB, own + waits_ms),
        "model": model,
        "logs": {"log_gb": lines / BYTES_PER_GB},
        "answer": {"sent_gb": answer_bytes / BYTES_PER_GB},
    }


def answer_bytes(task: Task, dimensions: int) -> int:
    """Return the bytes of an answer to one input: of a vector at its longest, else of the task's example."""
    if dimensions:
        return ANSWER_HEAD + dimensions * FLOAT_JSON_BYTES
    return ANSWER_HEAD + len(json.dumps(APIS[task].example.outputs[0]))


def request_usd(parts: Parts, region: str) -> dict[str, float]:
    """Return US dollars by the parts of one request, at the prices of a month's first units."""
    return {
        part: sum(price(name, region).first * count for name, count in units.items())
        for part, units in parts.items()
    }


def month_usd(parts: Parts, requests: float, region: str) -> dict[str, float]:
    """Return US dollars by the parts of a month's requests, which are cheaper after so many of them."""
    totals: dict[str, float] = {}
    for units in parts.values():
        for name, count in units.items():
            totals[name] = totals.get(name, 0.0) + count * requests
    # A price with steps counts all parts together; each has its share of the sum.
    return {
        part: sum(
            price(name, region).usd(totals[name]) * count * requests / totals[name]
            for name, count in units.items()
            if totals[name]
        )
        for part, units in parts.items()
    }
