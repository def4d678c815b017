"""The deployment of the fixture in a local cloud, used in every way that its roles are there for."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import ClientError

from contracts.states.rows import Row, copies_key, wake_key
from local.control.data_plane import data_plane
from local.permissions.access import Made
from tests.fixtures.local_cloud_client import LocalCloudClient
from tests.fixtures.synthesis import KEY
from tests.local.deployments.in_process import Assembly, InProcess, StackFailed
from turnout.client import Endpoint, predict, request

Json = dict[str, Any]
GPU_ADDRESS, STATES = "shop-intents-gpu-g6-xl", "shop-states"
# Far more than a thread of the router's takes.
LONGEST_S = 60.0
LAMBDA_ARN = "arn:aws:lambda:us-east-1:123456789012:function:"
REQUESTS: tuple[tuple[str, Json], ...] = (
    ("intents", {"inputs": "lovely"}),
    ("intents", {"inputs": "lovely", "tier": "gpu"}),
    ("words", {"inputs": "one"}),
)


def gpu_state(endpoint: Endpoint) -> str:
    """Return the state of the GPU tier as a router knows it."""
    body = request(endpoint, "GET", "/v1/models/intents").body
    return next((tier["state"] for tier in body.get("tiers", ()) if tier["tier"] == "gpu"), "")


@dataclass(frozen=True, slots=True, kw_only=True)
class Shop:
    """The deployment of the fixture, in a local cloud."""

    client: LocalCloudClient
    cdk: InProcess
    assembly: Assembly

    @property
    def made(self) -> set[Made]:
        return set(self.client.cloud.access.made)

    def exercise(self, *stacks: str) -> list[str]:
        """Send a request of each kind, and remove some stacks and make them again; return what went wrong."""
        cloud = self.client.cloud
        endpoint = Endpoint(url=cloud.url, key=KEY, ca_file=str(cloud.ca_file))
        replies = [(predict(endpoint, model, document), document) for model, document in REQUESTS]
        # A tier that is refused may be answered for by the other.
        problems = [
            str(reply.body)
            for reply, document in replies
            if (reply.status, reply.body.get("tier")) != (200, document.get("tier", "cpu"))
        ]
        listing = request(endpoint, "GET", "/v1/models").body
        tiers = [
            tier for model in listing.get("data", [listing]) for tier in model.get("tiers", ())
        ]
        problems += [f"not listed: {tier}" for tier in tiers if not tier["deployed"]]
        try:
            problems += self.sleep(endpoint)
        except ClientError as error:
            problems.append(str(error))  # a stack that it needs was not deployed
        try:
            for stack in stacks:
                self.cdk.destroy(stack)
                self.cdk.deploy_stack(self.assembly, stack)
        except StackFailed as error:
            problems.append(str(error))
        return problems

    def sleep(self, endpoint: Endpoint) -> list[str]:
        """Have the GPU tier sleep and be called by one router, and another know both; return what went wrong."""
        problems = []
        self.copies(0)
        self.start_router()
        if predict(endpoint, "intents", {"inputs": "lovely", "tier": "gpu"}).status != 200:
            problems.append("a tier that sleeps is not answered for")
        if not self.until(lambda: self.written_at(wake_key(GPU_ADDRESS)) > 0):
            problems.append("the others are not told of the call")
        if not self.observe():
            problems.append("the copies are not observed")
        self.start_router()
        if not self.until(lambda: gpu_state(endpoint) == "waking"):
            problems.append("a router does not know what another has done")
        self.client.client("dynamodb").delete_item(
            TableName=STATES, Key={"key": {"S": wake_key(GPU_ADDRESS)}}
        )
        self.copies(1)
        if not self.observe():
            problems.append("the copies are not observed again")
        self.start_router()
        return problems

    def copies(self, count: int) -> None:
        self.client.client("sagemaker").update_inference_component_runtime_config(
            InferenceComponentName=GPU_ADDRESS, DesiredRuntimeConfig={"CopyCount": count}
        )

    def observe(self) -> bool:
        """Let a minute pass, and return True once the observer has written the copies."""
        key, began = copies_key(GPU_ADDRESS), time.time()
        hour = data_plane().clock
        data_plane().clock = lambda: hour() + 61
        return self.until(lambda: self.written_at(key) >= began)

    def written_at(self, key: str) -> float:
        """Return when a row was written; 0 if it is not there."""
        found = self.client.client("dynamodb").get_item(TableName=STATES, Key={"key": {"S": key}})
        return Row.from_item(found["Item"]).written_at if "Item" in found else 0.0

    def start_router(self) -> None:
        """Have the next request meet a router that knows nothing yet."""
        self.client.cloud.functions.forget(f"{LAMBDA_ARN}shop-router")

    def until(self, holds: Callable[[], bool]) -> bool:
        """Wait for what another thread does; not once a call of it was refused."""
        deadline = time.monotonic() + LONGEST_S
        while not (found := holds()) and time.monotonic() < deadline:
            if any(not one.allowed for one in self.made):
                return holds()
            time.sleep(0.1)
        return found

    def roles(self) -> list[str]:
        found = self.client.client("iam").list_roles()["Roles"]
        return [role["Arn"] for role in found if role["RoleName"].startswith("shop-")]
