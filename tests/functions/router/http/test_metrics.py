"""The metrics in a line of log, as CloudWatch reads them."""

import json
from typing import Any

import pytest

from contracts.http_errors import ModelFailed, TierUnavailable
from contracts.tasks import Tier
from tests.fixtures.router_app import PREDICT, FakeTier, router


def read(line: str) -> dict[tuple[str, ...], float]:
    """Return the metrics of a line by name and values of their dimensions, as the specification says to read it."""
    members: dict[str, Any] = json.loads(line)
    found = {}
    for directive in members.get("_aws", {}).get("CloudWatchMetrics", ()):
        assert directive["Namespace"] == "Turnout"
        for dimensions in directive["Dimensions"]:
            values = [members[name] for name in dimensions]
            assert all(isinstance(value, str) for value in values)
            for metric in directive["Metrics"]:
                number = members[metric["Name"]]
                assert type(number) in (int, float)
                found[metric["Name"], *values] = number
    return found


def lines(
    caplog: pytest.LogCaptureFixture, tiers: dict[Tier, FakeTier], **options: Any
) -> dict[tuple[str, ...], float]:
    with caplog.at_level("INFO", "turnout.access"):
        router(tiers)("POST", PREDICT, json.dumps({"inputs": "a", **options}))
    return read(caplog.messages[-1])


def test_an_answer_counts_for_its_tier_with_its_time(caplog: pytest.LogCaptureFixture) -> None:
    found = lines(caplog, {tier: FakeTier() for tier in Tier})
    assert found.pop(("ms", "shop", "support-intent", "cpu")) > 0
    assert found == {("errors", "shop", "support-intent", "cpu"): 0}


def test_an_error_of_a_tier_counts_and_one_of_the_request_does_not(
    caplog: pytest.LogCaptureFixture,
) -> None:
    failing = {tier: FakeTier(error=ModelFailed("it crashed")) for tier in Tier}
    assert lines(caplog, failing, tier="cpu")["errors", "shop", "support-intent", "cpu"] == 1
    assert lines(caplog, failing, tier="tpu") == {}


@pytest.mark.parametrize(
    ("failing", "reason", "degraded"),
    [(Tier.CPU, "cpu_throttled", 0), (Tier.GPU, "gpu_throttled", 1)],
)
def test_an_answer_of_another_tier_counts_by_its_reason(
    caplog: pytest.LogCaptureFixture, failing: Tier, reason: str, degraded: int
) -> None:
    tiers = {tier: FakeTier() for tier in Tier}
    tiers[failing] = FakeTier(error=TierUnavailable("busy"))
    options = {"prefer": "quality"} if failing is Tier.GPU else {}
    found = lines(caplog, tiers, **options)
    assert found["fallback", "shop", "support-intent", reason] == 1
    assert found["degraded", "shop", "support-intent", reason] == degraded
