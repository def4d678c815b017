"""GPU stacks as they are synthesised, in a local cloud with a clock of the test's own and no containers."""

import atexit
import copy
import shutil
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from contracts.scaling.awake import parse_awake
from contracts.specs import GpuSpec
from local.control.data_plane import data_plane
from local.control.placement import Readings
from tests.fixtures.local_cloud_client import LocalCloudClient
from tests.fixtures.synthesis import GpuTier, Json, synthesise_gpu

STACK = "gpu"
G6 = "ml.g6.xlarge"
ONE = GpuTier(spec=GpuSpec(instance=G6))
PAIR = GpuTier(spec=GpuSpec(instance=G6, min_instances=2, max_instances=4))
SLEEPER = GpuTier(spec=GpuSpec(instance=G6, min_instances=0, max_instances=2))


def changed(tier: GpuTier, **settings: Any) -> GpuTier:
    return replace(tier, spec=replace(tier.spec, **settings))


def changes(tier: GpuTier) -> dict[str, GpuTier]:
    """Return what a user may change of a tier, each alone."""
    return {
        "version": replace(tier, artefact="c" * 64, image="c" * 64),
        "image": replace(tier, image="d" * 64),
        "memory": changed(tier, memory_mb=2048),
        "timeout": changed(tier, timeout_s=9),
        "max": changed(tier, max_instances=5),
        "min": changed(tier, min_instances=3, max_instances=5),
        "sleep": changed(tier, min_instances=0, max_instances=5),
        "instance": changed(tier, instance="ml.g5.xlarge"),
    }


TIERS = {
    "one": ONE,
    **{f"one-{name}": tier for name, tier in changes(ONE).items()},
    "pair": PAIR,
    **{f"pair-{name}": tier for name, tier in changes(PAIR).items()},
    "sleeper": SLEEPER,
    "sleeper-office": changed(SLEEPER, awake=parse_awake("Mon-Fri 08:00-18:00 Europe/Berlin")),
    "sleeper-saturday": changed(SLEEPER, awake=parse_awake("Sat 10:00-11:00 UTC")),
    "sleeper-policy": changed(SLEEPER, max_instances=3, requests_per_copy=9),
}


@cache
def _templates() -> dict[str, Json]:
    """Return the resources of every tier's stack; made once, because starting the CDK takes seconds."""
    folder = Path(tempfile.mkdtemp(prefix="turnout-tests-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    made = synthesise_gpu(TIERS, folder / "cdk.out")
    return {name: made.templates[name]["Resources"] for name in TIERS}


def template(name: str) -> Json:
    """Return a copy of the resources of a tier's stack, which a test may change."""
    return copy.deepcopy(_templates()[name])


@dataclass(slots=True)
class Hosts:
    """A host of containers that notes what it starts and stops."""

    running: dict[str, str] = field(default_factory=dict)
    started: list[str] = field(default_factory=list)

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
        self.running[component] = image_uri
        self.started.append(image_uri)

    def stop(self, component: str) -> None:
        self.running.pop(component, None)


@dataclass(slots=True)
class Clock:
    """A clock that the test sets, in seconds of the Unix epoch."""

    now: float = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


@dataclass(slots=True)
class GpuCloud:
    """A cloud of GPU stacks: deployed as they are synthesised, called, and looked at."""

    client: LocalCloudClient
    hosts: Hosts
    clock: Clock

    def deploy(self, resources: Json) -> str:
        """Bring the stack to these resources; return its status."""
        return self.client.deploy(STACK, resources)

    def must_deploy(self, resources: Json) -> None:
        status = self.deploy(resources)
        assert status in ("CREATE_COMPLETE", "UPDATE_COMPLETE"), self.reasons()

    def reasons(self) -> str:
        api = self.client.client("cloudformation")
        events = api.describe_stack_events(StackName=STACK)["StackEvents"]
        found = [event.get("ResourceStatusReason") for event in events]
        return "\n".join(reason for reason in found if reason)

    def copies(self, component: str) -> tuple[int, int]:
        """Return the copies that are wanted, and those in service."""
        found = self.client.client("sagemaker").describe_inference_component(
            InferenceComponentName=component
        )["RuntimeConfig"]
        return found["DesiredCopyCount"], found["CurrentCopyCount"]

    def call(self, component: str) -> str:
        """Call a component; return the error, of which "not found" means that a copy took the request."""
        with pytest.raises(ClientError) as caught:
            self.client.client("sagemaker-runtime").invoke_endpoint(
                EndpointName=component, InferenceComponentName=component, Body=b"{}"
            )
        response = caught.value.response
        assert response["ResponseMetadata"]["HTTPStatusCode"] == 400
        assert response["Error"]["Code"] == "ValidationError"
        return str(response["Error"]["Message"])

    def answers(self, component: str) -> bool:
        return "not found" in self.call(component)


@pytest.fixture
def gpu_cloud(local_cloud: LocalCloudClient) -> Iterator[GpuCloud]:
    here = data_plane()
    before = here.containers, here.clock, here.readings
    cloud = GpuCloud(local_cloud, Hosts(), Clock())
    here.containers, here.clock, here.readings = cloud.hosts, cloud.clock, Readings()
    yield cloud
    api: Any = local_cloud.client("cloudformation")
    for stack in [one["StackName"] for one in api.describe_stacks()["Stacks"]]:
        assert local_cloud.delete(stack) == "DELETE_COMPLETE"
    assert local_cloud.client("sagemaker").list_inference_components()["InferenceComponents"] == []
    here.containers, here.clock, here.readings = before
