"""Events run functions that nobody waits for, as Lambda's do."""

import time
from dataclasses import dataclass, field
from typing import Any

import pytest
from botocore.exceptions import ClientError

from contracts.limits import LAMBDA_EVENT_BYTES
from local.control.data_plane import Invocation, data_plane
from local.control.lambdas import run_event
from tests.fixtures.local_cloud_client import LocalCloudClient


def test_an_event_is_accepted_before_the_function_has_run(local_cloud: LocalCloudClient) -> None:
    name = local_cloud.function("fails", "fails")
    accepted = local_cloud.client("lambda").invoke(
        FunctionName=name, InvocationType="Event", Payload=b"{}"
    )
    assert (accepted["StatusCode"], "FunctionError" in accepted) == (202, False)
    log = local_cloud.cloud.state / f"logs/{name}.log"
    until = time.monotonic() + 120
    while not log.exists() or "what went wrong" not in log.read_text("utf-8"):
        assert time.monotonic() < until
        time.sleep(0.05)


def test_an_event_over_one_megabyte_is_refused(local_cloud: LocalCloudClient) -> None:
    name = local_cloud.function("silent", "echo")
    with pytest.raises(ClientError, match="Event invocation type"):
        local_cloud.client("lambda").invoke(
            FunctionName=name,
            InvocationType="Event",
            Payload=b'"' + b"a" * LAMBDA_EVENT_BYTES + b'"',
        )


@dataclass(slots=True)
class Throttles:
    """A host of functions that throttles some calls first."""

    left: int
    calls: int = 0

    def invoke(self, function: Any, payload: bytes) -> Invocation:
        self.calls += 1
        self.left -= 1
        return Invocation(payload=b"", error=False, log="", is_throttled=self.left >= 0)


@dataclass(slots=True)
class Configured:
    config: dict[str, int]


@dataclass(slots=True)
class Function:
    event_invoke_config: list[Configured] = field(default_factory=list)


@pytest.mark.parametrize(
    ("throttled", "oldest_s", "calls"), [(0, 60, 1), (3, 60, 4), (100, 60, 60)]
)
def test_an_event_waits_while_its_function_is_throttled_and_is_dropped_when_it_is_old(
    local_cloud: LocalCloudClient, throttled: int, oldest_s: int, calls: int
) -> None:
    real = data_plane()
    hosts: Any = Throttles(throttled)
    function = Function([Configured({"MaximumEventAgeInSeconds": oldest_s})])
    real.functions, functions = hosts, real.functions
    try:
        run_event(function, b"{}", pause=lambda seconds: None)
    finally:
        real.functions = functions
    assert hosts.calls == calls
