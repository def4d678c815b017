"""Calls of AWS's own client that meet a fault: they fail as they would on AWS, and the next ones are served."""

import time
from collections.abc import Iterator
from threading import Timer
from typing import Any

import pytest
from botocore.exceptions import (
    ClientError,
    ConnectionClosedError,
    IncompleteReadError,
    ResponseStreamingError,
)

from local.chaos.script import Fault, Scripted
from local.chaos.services import SERVICES, Called
from tests.fixtures.local_cloud_client import LocalCloudClient

NAME = "echo"
TIMEOUT_S = 2


@pytest.fixture(scope="module")
def deployed(local_cloud: LocalCloudClient) -> LocalCloudClient:
    """Return a cloud with a function that has answered once."""
    local_cloud.function(NAME, "echo", timeout_s=TIMEOUT_S)
    local_cloud.invoke(NAME, {})
    tables = local_cloud.client("dynamodb")
    tables.create_table(
        TableName="states",
        BillingMode="PAY_PER_REQUEST",
        AttributeDefinitions=[{"AttributeName": "name", "AttributeType": "S"}],
        KeySchema=[{"AttributeName": "name", "KeyType": "HASH"}],
    )
    return local_cloud


@pytest.fixture
def cloud(deployed: LocalCloudClient) -> Iterator[LocalCloudClient]:
    yield deployed
    deployed.cloud.chaos.begin(())


def inflict(cloud: LocalCloudClient, kind: Fault, service: str = "lambda", **settings: Any) -> None:
    of = Called(service=service, name=NAME if service == "lambda" else "")
    cloud.cloud.chaos.begin((Scripted(target=service, kind=kind, of=of, **settings),))


def calls(cloud: LocalCloudClient) -> dict[str, Any]:
    """Return a call of each service, which is answered while there is no fault."""
    table = {"TableName": "states", "Key": {"name": {"S": "a"}}}
    endpoint = {"EndpointName": "e", "InferenceComponentName": "c", "Body": b"{}"}
    return {
        "lambda": lambda: cloud.invoke(NAME, {}),
        "sagemaker": lambda: cloud.client("sagemaker-runtime").invoke_endpoint(**endpoint),
        "dynamodb": lambda: cloud.client("dynamodb").get_item(**table),
        "ssm": lambda: cloud.client("ssm").get_parameters(Names=["/a"]),
    }


@pytest.mark.parametrize("service", SERVICES)
@pytest.mark.parametrize("kind", [Fault.THROTTLE, Fault.ERROR])
def test_a_service_refuses_in_the_words_that_its_client_reads(
    cloud: LocalCloudClient, service: str, kind: Fault
) -> None:
    error = SERVICES[service].throttled if kind is Fault.THROTTLE else SERVICES[service].down
    inflict(cloud, kind, service, error=error)
    with pytest.raises(ClientError) as caught:
        calls(cloud)[service]()
    found = caught.value.response
    assert found["Error"]["Code"] == error.code
    assert found["Error"]["Message"] == error.message
    assert found["ResponseMetadata"]["HTTPStatusCode"] == error.status
    # Lambda's client reads which limit was reached.
    assert found.get("Reason") == error.more.get("Reason")


@pytest.mark.parametrize("service", ["lambda", "dynamodb", "ssm"])
def test_other_services_and_later_calls_are_answered(cloud: LocalCloudClient, service: str) -> None:
    inflict(cloud, Fault.ERROR, service, error=SERVICES[service].down)
    for name, call in calls(cloud).items():
        # There is no component.
        if name not in (service, "sagemaker"):
            call()
    cloud.cloud.chaos.begin(())
    calls(cloud)[service]()


def test_a_container_that_fails_is_reported_with_its_own_status(cloud: LocalCloudClient) -> None:
    error = SERVICES["sagemaker"].down
    model_error = type(error)(status=503, code="ModelError", message="busy")
    inflict(cloud, Fault.ERROR, "sagemaker", error=model_error)
    with pytest.raises(ClientError) as caught:
        calls(cloud)["sagemaker"]()
    found = caught.value.response
    assert (found["OriginalStatusCode"], found["OriginalMessage"]) == (503, "busy")
    assert found["ResponseMetadata"]["HTTPStatusCode"] == 424


def test_a_connection_is_closed_before_an_answer(cloud: LocalCloudClient) -> None:
    inflict(cloud, Fault.CLOSE)
    with pytest.raises(ConnectionClosedError):
        cloud.invoke(NAME, {})


def test_a_connection_is_closed_in_the_middle_of_an_answer(cloud: LocalCloudClient) -> None:
    inflict(cloud, Fault.CUT)
    with pytest.raises((IncompleteReadError, ResponseStreamingError)):
        cloud.invoke(NAME, {"text": "x" * 100_000})


def test_a_slow_answer_is_the_tiers_own_and_comes_later(cloud: LocalCloudClient) -> None:
    inflict(cloud, Fault.SLOW, ms=300)
    start = time.monotonic()
    answer, error = cloud.invoke(NAME, {"n": 1})
    assert (answer["event"], error) == ({"n": 1}, None)
    assert time.monotonic() - start >= 0.3


def test_a_tier_that_crashes_is_killed_with_its_request_and_starts_again(
    cloud: LocalCloudClient,
) -> None:
    before, _ = cloud.invoke(NAME, {})
    inflict(cloud, Fault.CRASH)
    answer, error = cloud.invoke(NAME, {})
    assert (answer["errorType"], error) == ("Runtime.ExitError", "Unhandled")
    assert answer["errorMessage"].endswith("Runtime exited with error: signal: killed")
    cloud.cloud.chaos.begin(())
    after, _ = cloud.invoke(NAME, {})
    assert after["pid"] != before["pid"]
    assert after["calls"] == 1


def test_a_tier_that_hangs_runs_out_of_its_own_time(cloud: LocalCloudClient) -> None:
    inflict(cloud, Fault.HANG)
    answer, error = cloud.invoke(NAME, {})
    assert (answer["errorType"], error) == ("Sandbox.Timedout", "Unhandled")
    assert answer["errorMessage"].endswith(f"Task timed out after {TIMEOUT_S}.00 seconds")


def test_a_service_that_hangs_is_silent_until_the_fault_is_over(cloud: LocalCloudClient) -> None:
    inflict(cloud, Fault.HANG, "ssm")
    Timer(0.2, cloud.cloud.chaos.stop).start()
    with pytest.raises(ConnectionClosedError):
        calls(cloud)["ssm"]()
