"""SageMaker endpoints of a deployment with their inference components, whether a stack still has them or not."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from contracts.specs import Deployment
from turnout.deployed.clients import Client
from turnout.deployed.stacks import TAG, Stack, resources_of

ENDPOINT = "AWS::SageMaker::Endpoint"
# The end of the name of a stack with an endpoint: `contracts/names.py`.
GPU_STACK = "-gpu"


@dataclass(frozen=True, slots=True, kw_only=True)
class Component:
    """An inference component: a model that an endpoint serves."""

    name: str
    status: str
    copies: int


@dataclass(frozen=True, slots=True, kw_only=True)
class GpuEndpoint:
    """An endpoint; `stack` is empty for one that no stack has, which none deletes."""

    name: str
    status: str
    since: datetime
    config: str
    instance: str
    instances: int
    components: tuple[Component, ...]
    stack: str = ""


def find_endpoints(
    sagemaker: Client, cloudformation: Client, deployment: Deployment, stacks: Sequence[Stack]
) -> list[GpuEndpoint]:
    """Return the endpoints that have the deployment's tag."""
    begins = f"{deployment.name}-"
    pages = sagemaker.get_paginator("list_endpoints").paginate(NameContains=begins)
    found = [
        one
        for page in pages
        for one in page["Endpoints"]
        if one["EndpointName"].startswith(begins)
        and _tag(sagemaker, one["EndpointArn"]) == deployment.name
    ]
    if not found:
        return []
    owners = {
        name: stack.name
        for stack in stacks
        if stack.name.endswith(GPU_STACK)
        for name in resources_of(cloudformation, stack.identity, (ENDPOINT,))
    }
    return [_read(sagemaker, one["EndpointName"], owners) for one in found]


def _tag(sagemaker: Client, arn: str) -> str:
    pages = sagemaker.get_paginator("list_tags").paginate(ResourceArn=arn)
    return next((tag["Value"] for page in pages for tag in page["Tags"] if tag["Key"] == TAG), "")


def _read(sagemaker: Client, name: str, owners: dict[str, str]) -> GpuEndpoint:
    endpoint = sagemaker.describe_endpoint(EndpointName=name)
    config = sagemaker.describe_endpoint_config(EndpointConfigName=endpoint["EndpointConfigName"])
    variants = endpoint.get("ProductionVariants", ())
    return GpuEndpoint(
        name=name,
        status=endpoint["EndpointStatus"],
        since=endpoint["CreationTime"],
        config=endpoint["EndpointConfigName"],
        instance=config["ProductionVariants"][0].get("InstanceType", ""),
        # An endpoint that is being created has no variants yet, and no instance that is paid for.
        instances=sum(int(one.get("CurrentInstanceCount", 0)) for one in variants),
        components=tuple(find_components(sagemaker, name)),
        stack=owners.get(name, ""),
    )


def find_components(sagemaker: Client, endpoint: str) -> list[Component]:
    """Return the inference components on an endpoint."""
    pages = sagemaker.get_paginator("list_inference_components").paginate(
        EndpointNameEquals=endpoint
    )
    listed = [
        one["InferenceComponentName"]
        for page in pages
        for one in page["InferenceComponents"]
        if one["EndpointName"] == endpoint
    ]
    return [_component(sagemaker, name) for name in listed]


def _component(sagemaker: Client, name: str) -> Component:
    found: dict[str, Any] = sagemaker.describe_inference_component(InferenceComponentName=name)
    copies = found.get("RuntimeConfig", {}).get("CurrentCopyCount", 0)
    return Component(name=name, status=found["InferenceComponentStatus"], copies=int(copies))
