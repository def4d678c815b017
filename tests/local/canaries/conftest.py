"""A CPU stack with a canary in a local cloud with a clock of the test's own: the control plane and the prober are real.

Models answer at once, or crash, and time passes when a test says so.
"""

import atexit
import copy
import json
import os
import random
import shutil
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from contracts.names import canary_parameter, release_parameter
from contracts.tasks import Tier
from local.control.data_plane import Functions, Invocation, StreamEnd, data_plane
from tests.conftest import SEED
from tests.fixtures.local_cloud_client import LocalCloudClient
from tests.fixtures.synthesis import (
    INTENTS,
    SHOP,
    Json,
    Synthesised,
    build,
    inputs,
    synthesise,
)
from tests.local.test_order import ASSETS, CPU, PROBER, ROUTER, zipped

ALIAS, SECOND = f"{CPU}:live", "5ec0nd000000"
# The seconds for which a deployment, which a test does not see, may be waited for.
LONGEST_S = 120


@cache
def shop() -> Synthesised:
    """Return the deployment of one model with a canary of 10 minutes; made once."""
    folder = Path(tempfile.mkdtemp(prefix="turnout-tests-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    build(folder / "models.out")
    assert INTENTS.cpu is not None
    model = replace(INTENTS, cpu=replace(INTENTS.cpu, canary_minutes=10), gpu=None)
    return synthesise(inputs(folder, replace(SHOP, models=(model,))), folder / "cdk.out")


def resources(*, second: bool = False) -> Json:
    """Return the CPU stack's resources, or those of another version of the model."""
    text = json.dumps(shop().templates[CPU]["Resources"])
    (number,) = shop().resources(CPU, "AWS::Lambda::Version")
    if second:
        text = text.replace(number, f"{number}2").replace(first_version(), SECOND)
    found: Json = json.loads(text)
    if second:
        (function,) = (r for r in found.values() if r["Type"] == "AWS::Lambda::Function")
        function["Properties"]["MemorySize"] = 3008
    return found


def first_version() -> str:
    return str(shop().only(CPU, "Custom::TurnoutProbe")["Properties"]["Version"])


@dataclass(slots=True, kw_only=True)
class Hosts:
    """Hosts of functions: `real` runs the prober; the model's versions answer at once, crash, or fail their probe."""

    real: Functions
    now: float = 1_800_000_000.0
    crashing: set[str] = field(default_factory=set)
    unready: set[str] = field(default_factory=set)
    asked: Counter[str] = field(default_factory=Counter)

    def clock(self) -> float:
        return self.now

    def stream(self, function: Any, payload: bytes) -> Iterator[bytes | StreamEnd] | None:
        return self.real.stream(function, payload)

    def invoke(self, function: Any, payload: bytes) -> Invocation:
        if function.function_name == PROBER:
            return self.real.invoke(function, payload)
        is_second = function.memory_size == 3008
        served = SECOND if is_second else first_version()
        if json.loads(payload) == {"probe": True}:
            problem = {"code": "probe_failed", "detail": "another answer"}
            body: Json = {"problem": problem} if served in self.unready else {"version": served}
            return Invocation(payload=json.dumps(body).encode(), error=False, log="")
        self.asked[served] += 1
        if served in self.crashing:
            return Invocation(payload=b'{"errorType": "Runtime.ExitError"}', error=True, log="")
        return Invocation(payload=json.dumps({"version": served}).encode(), error=False, log="")

    def prepare(self, function: Any) -> None:
        return

    def forget(self, function_arn: str) -> None:
        self.real.forget(function_arn)


def reasons(client: LocalCloudClient, stack: str) -> str:
    events = client.client("cloudformation").describe_stack_events(StackName=stack)["StackEvents"]
    return "\n".join(event.get("ResourceStatusReason") or "" for event in events)


@dataclass(slots=True, kw_only=True)
class Canary:
    """A cloud with the first version deployed, and the deployment of the second."""

    client: LocalCloudClient
    hosts: Hosts
    deploying: threading.Thread | None = None
    status: str = ""

    def deploy(self, template: Json) -> None:
        """Begin a deployment, which waits for the canary."""

        def run() -> None:
            self.status = self.client.deploy(CPU, template)

        self.status = ""
        self.deploying = threading.Thread(target=run, daemon=True)
        self.deploying.start()

    def shifting(self) -> str:
        """Return the version that gets a share of the requests, once it does."""
        deadline = time.monotonic() + LONGEST_S
        while not (weights := self.weights()):
            assert not self.status, self.reasons()
            assert time.monotonic() < deadline
            time.sleep(0.02)
        ((version, weight),) = weights.items()
        assert weight == 0.1
        return version

    def ended(self) -> str:
        """Return the status of the stack, once its deployment has ended."""
        assert self.deploying is not None
        self.deploying.join(LONGEST_S)
        assert not self.deploying.is_alive()
        return self.status

    def alias(self) -> Json:
        found: Json = self.client.client("lambda").get_alias(FunctionName=CPU, Name="live")
        return found

    def weights(self) -> dict[str, float]:
        routing = self.alias().get("RoutingConfig") or {}
        return dict(routing.get("AdditionalVersionWeights") or {})

    def ask(self, times: int = 1) -> list[str]:
        """Return what answers the alias: a version, or the error of a function that failed."""
        replies = [self.client.invoke(ALIAS, {"inputs": "a"}) for _ in range(times)]
        return [error or answer["version"] for answer, error in replies]

    def told(self, name: str) -> Json:
        """Return what a parameter says."""
        value = self.client.client("ssm").get_parameter(Name=name)["Parameter"]["Value"]
        found: Json = json.loads(value)
        return found

    def released(self) -> tuple[str, str]:
        """Return the versions of the release and of the canary."""
        release = self.told(release_parameter("shop", "intents", Tier.CPU))
        return release["version"], self.told(canary_parameter("shop", "intents"))["version"]

    def reasons(self) -> str:
        return reasons(self.client, CPU)


@pytest.fixture(scope="module")
def hosts(local_cloud: LocalCloudClient) -> Hosts:
    """Put the archive of the prober where its template says, take the place of the hosts, and deploy the router."""
    local_cloud.client("s3").create_bucket(Bucket=ASSETS)
    for asset in shop().assets[ROUTER]["files"].values():
        if asset["source"]["packaging"] == "zip":
            body = zipped(shop().folder / asset["source"]["path"])
            (place,) = asset["destinations"].values()
            local_cloud.client("s3").put_object(Bucket=ASSETS, Key=place["objectKey"], Body=body)
    made = Hosts(real=data_plane().functions)
    here = data_plane()
    here.functions, here.clock = made, made.clock
    here.random = random.Random(f"{os.environ[SEED]} canary").random
    router = copy.deepcopy(shop().templates[ROUTER]["Resources"])
    status = local_cloud.deploy(ROUTER, router)
    assert status == "CREATE_COMPLETE", reasons(local_cloud, ROUTER)
    return made


@pytest.fixture
def canary(local_cloud: LocalCloudClient, hosts: Hosts) -> Iterator[Canary]:
    hosts.crashing, hosts.unready, hosts.asked = set(), set(), Counter()
    made = Canary(client=local_cloud, hosts=hosts)
    # The first deployment has nothing to move from, and takes no time.
    assert local_cloud.deploy(CPU, resources()) == "CREATE_COMPLETE", made.reasons()
    assert made.released() == (first_version(), first_version())
    yield made
    # A canary that a failed test has left is over by then.
    hosts.now += 3600
    if made.deploying:
        made.ended()
    assert local_cloud.delete(CPU) == "DELETE_COMPLETE"
    assert data_plane().deployment_groups == {}
