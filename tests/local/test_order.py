"""The stacks of a deployment, deleted in any order or failing at any of them: nothing is left that costs.

The control plane and the prober are the real ones. Models answer their probes, and containers start, at once.
"""

import copy
import io
import json
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import permutations
from pathlib import Path
from typing import Any

import pytest

from local.control.data_plane import (
    AccountLimits,
    Functions,
    Invocation,
    StreamEnd,
    data_plane,
)
from tests.fixtures.local_cloud_client import LocalCloudClient
from tests.fixtures.synthesis import ACCOUNT, shop

ROUTER, STATES, CPU, WORDS, GPU = STACKS = (
    "shop-router",
    "shop-states",
    "shop-intents-cpu",
    "shop-words-cpu",
    "shop-intents-gpu",
)
PROBER, RELEASE = "shop-prober", "/turnout/shop/intents/cpu"
ASSETS = f"cdk-hnb659fds-assets-{ACCOUNT}-us-east-1"
Resources = dict[str, Any]


@dataclass(slots=True, kw_only=True)
class Hosts:
    """Hosts of functions and containers: `real` runs the prober, unless it `is_throttled`; models have `versions`."""

    real: Functions
    versions: dict[str, str] = field(default_factory=dict)
    is_throttled: bool = False

    def stream(self, function: Any, payload: bytes) -> Iterator[bytes | StreamEnd] | None:
        return self.real.stream(function, payload)

    def invoke(self, function: Any, payload: bytes) -> Invocation:
        if function.function_name != PROBER:
            body = json.dumps({"version": self.versions[function.function_name]}).encode()
            return Invocation(payload=body, error=False, log="")
        if self.is_throttled:
            return Invocation(payload=b"Rate Exceeded.", error=True, log="")
        return self.real.invoke(function, payload)

    def prepare(self, function: Any) -> None:
        return

    def forget(self, function_arn: str) -> None:
        self.real.forget(function_arn)

    def start(
        self,
        component: str,
        image_uri: str,
        environment: dict[str, str],
        wait_s: int,
        *,
        logs: bool,
        weights: Callable[[Path], None] | None,
    ) -> None:
        return

    def stop(self, component: str) -> None:
        return


def zipped(folder: Any) -> bytes:
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as file:
        for path in folder.iterdir():
            file.write(path, path.name)
    return archive.getvalue()


@pytest.fixture(scope="module")
def plane(local_cloud: LocalCloudClient) -> Hosts:
    """Put the archive of the prober where its template says, and take the place of the hosts."""
    local_cloud.client("s3").create_bucket(Bucket=ASSETS)
    files = (one for stack in (ROUTER, STATES) for one in shop().assets[stack]["files"].values())
    for asset in files:
        if asset["source"]["packaging"] == "zip":
            body = zipped(shop().folder / asset["source"]["path"])
            (place,) = asset["destinations"].values()
            local_cloud.client("s3").put_object(Bucket=ASSETS, Key=place["objectKey"], Body=body)
    hosts = Hosts(real=data_plane().functions)
    data_plane().functions = data_plane().containers = hosts
    return hosts


@pytest.fixture
def hosts(plane: Hosts, local_cloud: LocalCloudClient) -> Iterator[Hosts]:
    plane.is_throttled = False
    data_plane().limits = AccountLimits()
    for stack in (CPU, WORDS):
        probe = shop().only(stack, "Custom::TurnoutProbe")["Properties"]
        plane.versions[stack] = probe["Version"]
    assert left(local_cloud) == {}
    yield plane
    for stack in STACKS:
        if local_cloud.status(stack):
            local_cloud.delete(stack)


def resources(stack: str) -> Resources:
    """Return a copy of the stack's resources, for a test to change."""
    return copy.deepcopy(shop().templates[stack]["Resources"])


def deploy(local_cloud: LocalCloudClient, *stacks: str) -> None:
    for stack in stacks:
        assert local_cloud.deploy(stack, resources(stack)) == "CREATE_COMPLETE"


def left(local_cloud: LocalCloudClient) -> dict[str, list[str]]:
    """Return the names of all that is there, by kind."""
    of = local_cloud.client
    stacks = of("cloudformation").describe_stacks()["Stacks"]
    found: dict[str, list[dict[str, Any]]] = {
        "EndpointName": of("sagemaker").list_endpoints()["Endpoints"],
        "EndpointConfigName": of("sagemaker").list_endpoint_configs()["EndpointConfigs"],
        "ModelName": of("sagemaker").list_models()["Models"],
        "InferenceComponentName": of("sagemaker").list_inference_components()[
            "InferenceComponents"
        ],
        "FunctionName": of("lambda").list_functions()["Functions"],
        "logGroupName": of("logs").describe_log_groups()["logGroups"],
        "RoleName": of("iam").list_roles()["Roles"],
        "ApiId": of("apigatewayv2").get_apis()["Items"],
        "Name": of("ssm").describe_parameters()["Parameters"],
        # What is left of a stack that failed is its name, which costs nothing and the next deployment replaces.
        "StackName": [one for one in stacks if one["StackStatus"] != "ROLLBACK_COMPLETE"],
    }
    named = {key: [str(one[key]) for one in many] for key, many in found.items()}
    named["RuleName"] = of("events").list_rules()["Rules"] and ["a schedule"]
    named["TableName"] = of("dynamodb").list_tables()["TableNames"]
    return {key: names for key, names in named.items() if names}


def released(local_cloud: LocalCloudClient) -> str:
    """Return the version of the CPU model's release."""
    value = local_cloud.client("ssm").get_parameter(Name=RELEASE)["Parameter"]["Value"]
    return str(json.loads(value)["version"])


@pytest.mark.exhaustive(keep=2)
@pytest.mark.parametrize("order", tuple(permutations(STACKS)), ids=" ".join)
def test_stacks_that_are_deleted_in_any_order_leave_nothing(
    local_cloud: LocalCloudClient, hosts: Hosts, order: tuple[str, ...]
) -> None:
    deploy(local_cloud, *STACKS)
    assert len(left(local_cloud)) == 12
    assert [local_cloud.delete(stack) for stack in order] == ["DELETE_COMPLETE"] * len(STACKS)
    assert left(local_cloud) == {}


@pytest.mark.parametrize("last", STACKS)
def test_a_stack_that_cannot_be_completed_leaves_nothing(
    local_cloud: LocalCloudClient, hosts: Hosts, last: str
) -> None:
    deploy(local_cloud, *STACKS[: STACKS.index(last)])
    before = left(local_cloud)
    refused = {"Type": "AWS::Bedrock::Agent", "DependsOn": list(resources(last)), "Properties": {}}
    failing = {**resources(last), "Refused": refused}
    assert local_cloud.deploy(last, failing) == "ROLLBACK_COMPLETE"
    assert left(local_cloud) == before


def test_a_function_that_fails_its_probe_leaves_nothing(
    local_cloud: LocalCloudClient, hosts: Hosts
) -> None:
    deploy(local_cloud, ROUTER)
    before = left(local_cloud)
    hosts.versions[CPU] = "another"
    assert local_cloud.deploy(CPU, resources(CPU)) == "ROLLBACK_COMPLETE"
    assert left(local_cloud) == before


@pytest.mark.parametrize("stacks", [(), (ROUTER,)], ids=["none there", "throttled"])
def test_without_a_prober_a_cpu_stack_leaves_nothing_and_a_gpu_stack_needs_none(
    local_cloud: LocalCloudClient, hosts: Hosts, stacks: tuple[str, ...]
) -> None:
    deploy(local_cloud, *stacks)
    before = left(local_cloud)
    hosts.is_throttled = True
    assert local_cloud.deploy(CPU, resources(CPU)) == "ROLLBACK_COMPLETE"
    assert left(local_cloud) == before
    deploy(local_cloud, GPU)
    assert local_cloud.delete(GPU) == "DELETE_COMPLETE"
    assert left(local_cloud) == before


@pytest.mark.parametrize(
    ("account", "reason"),
    [
        (
            AccountLimits(instances=0),
            "'ml.g6.xlarge for endpoint usage' is 0 Instances, with current utilization of 0",
        ),
        (AccountLimits(has_capacity=False), "due to InsufficientInstanceCapacity error"),
    ],
    ids=["quota", "capacity"],
)
def test_a_gpu_that_aws_refuses_leaves_every_other_stack_and_says_why(
    local_cloud: LocalCloudClient, hosts: Hosts, account: AccountLimits, reason: str
) -> None:
    deploy(local_cloud, ROUTER, CPU, WORDS)
    before = left(local_cloud)
    data_plane().limits = account
    assert local_cloud.deploy(GPU, resources(GPU)) == "ROLLBACK_COMPLETE"
    (stack,) = local_cloud.client("cloudformation").describe_stacks(StackName=GPU)["Stacks"]
    assert reason in stack["StackStatusReason"]
    # What the CDK's command line asks of a stack that failed.
    assert local_cloud.client("cloudtrail").lookup_events()["Events"] == []
    data_plane().limits = AccountLimits()
    asked = local_cloud.client("cloudformation").describe_stack_resources(StackName=GPU)
    assert asked["StackResources"] == []
    assert left(local_cloud) == before
    data_plane().limits = AccountLimits(instances=1)
    assert local_cloud.delete(GPU) == "DELETE_COMPLETE"
    deploy(local_cloud, GPU)


def test_if_a_failed_probe_is_not_retained_a_second_deletion_leaves_nothing(
    local_cloud: LocalCloudClient, hosts: Hosts
) -> None:
    """AWS does not document that `Retain` holds for a resource whose creation failed: this is the other reading."""
    deploy(local_cloud, ROUTER)
    before = left(local_cloud)
    hosts.is_throttled = True
    other = resources(CPU)
    (probe,) = (one for one in other.values() if one["Type"] == "Custom::TurnoutProbe")
    assert probe["DeletionPolicy"] == "Retain"
    probe["DeletionPolicy"] = "RetainExceptOnCreate"
    assert local_cloud.deploy(CPU, other) == "ROLLBACK_FAILED"
    assert local_cloud.delete(CPU) == "DELETE_COMPLETE"
    assert left(local_cloud) == before


def test_a_release_follows_the_version_that_answers_its_probe(
    local_cloud: LocalCloudClient, hosts: Hosts
) -> None:
    deploy(local_cloud, ROUTER, CPU)
    first = released(local_cloud)
    text = json.dumps(resources(CPU)).replace(first, "0ther0000000")
    other: Resources = json.loads(text)
    assert local_cloud.deploy(CPU, other) == "UPDATE_ROLLBACK_COMPLETE"
    assert released(local_cloud) == first
    hosts.versions[CPU] = "0ther0000000"
    assert local_cloud.deploy(CPU, other) == "UPDATE_COMPLETE"
    assert released(local_cloud) == "0ther0000000"
