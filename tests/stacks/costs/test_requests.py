"""The units of a request are those that our code and AWS's services make of it, and their costs are sums."""

import json
import random
import re
from typing import Any

import pytest

from contracts.api.registry import APIS
from contracts.limits import LAMBDA_MB_PER_VCPU
from contracts.tasks import Task, Tier
from local.access_log import line
from stacks.costs.prices import price
from stacks.costs.requests import (
    ANSWER_HEAD,
    GATEWAY_LINE,
    LAMBDA_LINES,
    ROUTER_LINE,
    ROUTER_MS,
    answer_bytes,
    billed_ms,
    function_run,
    month_usd,
    request_parts,
    request_usd,
)
from stacks.router import ACCESS_LOG
from tests.fixtures.paths import ROOT
from tests.fixtures.router_app import PREDICT, FakeTier, Rows, router

REGION = "us-east-1"
# As AWS's own page shows them, with its 36 characters of a request's id.
# https://docs.aws.amazon.com/lambda/latest/dg/monitoring-cloudwatchlogs-view.html
LAMBDA = """START RequestId: 8f507cfc-xmpl-4697-b07a-ac58fc914c95 Version: 12
END RequestId: 8f507cfc-xmpl-4697-b07a-ac58fc914c95
REPORT RequestId: 8f507cfc-xmpl-4697-b07a-ac58fc914c95  Duration: 15.74 ms  Billed Duration: 16 ms Memory Size: 1769 \
MB Max Memory Used: 256 MB
"""
# A request's values in the gateway's log: its id has 16 characters, times have 13 digits.
VALUES = {
    "requestId": "JKJaXmPLvHcESHA=",
    "requestTimeEpoch": 1790183715000,
    "identity.sourceIp": "203.0.113.77",
    "httpMethod": "POST",
    "path": PREDICT,
    "status": 200,
    "responseLatency": 16,
    "integrationLatency": 12,
    "integrationStatus": 200,
    "responseLength": 212,
}


class Unread(Rows):
    """A registry that counts how often it is read."""

    reads = 0

    def releases(self, model: str) -> list[dict[str, Any]]:
        self.reads += 1
        return super().releases(model)


def nearly(constant: float, real: float) -> bool:
    """Return True if a constant is within a fifth of what it stands for."""
    return abs(constant - real) <= real / 5


def test_a_request_logs_as_many_bytes_as_is_counted(caplog: pytest.LogCaptureFixture) -> None:
    registry = Unread()
    with caplog.at_level("INFO", "turnout.access"):
        answer = router({tier: FakeTier() for tier in Tier}, registry)(
            "POST", PREDICT, '{"inputs": ["where is my parcel?"]}'
        )
    (said,) = caplog.messages
    # The gateway's id is in place of the event's, which is one character longer than real ones.
    assert nearly(ROUTER_LINE, len(said) + 1)
    assert nearly(GATEWAY_LINE, len(line(json.dumps(ACCESS_LOG), VALUES)))
    assert nearly(LAMBDA_LINES, len(LAMBDA))
    output = json.loads(answer["body"])["outputs"][0]
    assert nearly(ANSWER_HEAD, len(answer["body"]) - len(json.dumps(output, separators=(",", ":"))))
    # A read of the releases would be a call to pay for, and to wait for.
    assert registry.reads == 0


def test_the_routers_own_time_is_the_one_that_was_measured() -> None:
    rows = json.loads((ROOT / "benchmarks/results/overhead.json").read_text("utf-8"))["rows"]
    (measured,) = (row["p50"] for row in rows if row["what"] == "router, ms")
    assert nearly(ROUTER_MS, measured)


def test_an_answer_of_vectors_is_as_long_as_its_dimensions() -> None:
    assert answer_bytes(Task.FEATURE_EXTRACTION, 384) == ANSWER_HEAD + 384 * 25
    for task in APIS:
        assert answer_bytes(task, 0) > ANSWER_HEAD


def test_a_part_of_a_vcpu_takes_longer_by_as_much() -> None:
    whole = billed_ms(10, LAMBDA_MB_PER_VCPU)
    assert whole == 10.5
    assert billed_ms(10, LAMBDA_MB_PER_VCPU * 3) == whole
    assert billed_ms(10, 1024) - 0.5 == pytest.approx(10 * 1769 / 1024)


def test_a_functions_million_requests_add_up_by_hand() -> None:
    """1,769 MB for 19.5 ms are 0.0337 GB-seconds, at $16.6667 a million, and a million invocations are $0.20."""
    usd = request_usd(request_parts(0, function_run(1769, billed_ms(19, 1769)), 0), REGION)
    by_hand = 1769 / 1024 * 19.5e-3 * 16.6667 + 0.20
    assert usd["model"] * 1e6 == pytest.approx(by_hand)
    assert usd["front door"] * 1e6 == pytest.approx(1)
    logged = GATEWAY_LINE + ROUTER_LINE + 2 * LAMBDA_LINES
    assert usd["logs"] * 1e6 == pytest.approx(logged * 1e6 / 1024**3 * 0.5)


def test_the_gateway_counts_each_started_512_kib() -> None:
    doors = [
        request_parts(0, {}, size)["front door"]["http_request"]
        for size in (0, 1, 524_288, 524_289, 2 << 20)
    ]
    assert doors == [1, 1, 1, 2, 4]


def test_what_takes_longer_or_has_more_memory_or_answers_more_costs_more() -> None:
    draw = random.Random(20261126)
    for _ in range(500):
        ms, memory, size = (
            draw.uniform(0.1, 20_000),
            draw.randint(128, 10_000),
            draw.randint(0, 10**6),
        )

        def cost(ms: float, memory: int, size: int) -> float:
            billed = billed_ms(ms, memory)
            parts = request_parts(billed, function_run(memory, billed), size)
            return sum(request_usd(parts, REGION).values())

        base = cost(ms, memory, size)
        assert cost(ms * 1.01, memory, size) > base
        assert cost(ms, memory, size + 10_000) > base
        # Below one vCPU a function that has more memory is as much faster as it is dearer, but its router waits less.
        more = cost(ms, memory + 100, size)
        assert more > base if memory >= LAMBDA_MB_PER_VCPU else more <= base * 1.01


def test_a_month_costs_nothing_without_requests_and_never_more_than_first_units() -> None:
    draw = random.Random(7)
    billed = billed_ms(12, 3008)
    parts = request_parts(billed, function_run(3008, billed), 400)
    one = request_usd(parts, REGION)
    assert set(month_usd(parts, 0, REGION).values()) == {0.0}
    counts = sorted(10 ** draw.uniform(0, 11) for _ in range(100))
    months = [month_usd(parts, count, REGION) for count in counts]
    totals = [sum(month.values()) for month in months]
    assert totals == sorted(totals)
    for count, month in zip(counts, months, strict=True):
        for part, usd in month.items():
            assert usd <= one[part] * count * (1 + 1e-9)
    # Below the first step's end nothing is cheaper yet.
    few = month_usd(parts, 1e6, REGION)
    assert few == pytest.approx({part: usd * 1e6 for part, usd in one.items()})


def test_every_unit_of_a_request_has_a_price_and_its_name_says_of_what() -> None:
    parts = request_parts(1, function_run(128, 1), 1)
    for units in parts.values():
        for name in units:
            assert re.search(r"invocation|request|GB", price(name, REGION).unit)
