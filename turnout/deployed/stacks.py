"""Stacks of a deployment: those of `models.toml`, and those that CloudFormation has under its tag."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from contracts.names import model_stack, router_stack, states_stack, weights_stack
from contracts.specs import Deployment
from contracts.tasks import Task
from turnout.deployed.clients import Client

# The tag of `stacks/app.py`.
TAG = "turnout"
# The version in the release of a model's stack, which is JSON in the JSON of a template: `stacks/release.py`.
VERSION = re.compile(r'\\"version\\": \\"([0-9a-f]+)\\"')
# A stack whose first change set was never run. It has no resource, and no tag yet.
EMPTY = "REVIEW_IN_PROGRESS"


@dataclass(frozen=True, slots=True, kw_only=True)
class Stack:
    """A stack that is there; `template` is its text, and `identity` its ARN, which finds it once it is deleted."""

    name: str
    identity: str
    status: str
    since: datetime
    template: str = ""
    reason: str = ""
    outputs: tuple[tuple[str, str], ...] = ()

    @property
    def busy(self) -> bool:
        """True while AWS changes the stack."""
        return self.status.endswith("_IN_PROGRESS") and self.status != EMPTY

    @property
    def version(self) -> str:
        """Return the version of the model that the stack serves; empty for the router's."""
        found = VERSION.search(self.template)
        return found[1] if found else ""


def images_of(deployment: Deployment) -> set[str]:
    """Return the names of a deployment's images, each of which is also that of its stack."""
    return {router_stack(deployment.name)} | {
        model_stack(deployment.name, model.name, tier)
        for model in deployment.models
        for tier in model.tiers
    }


def stacks_of(deployment: Deployment) -> set[str]:
    """Return the names of a deployment's stacks."""
    # Weights are pushed for models of one task alone; whether they were is not known here.
    states = {states_stack(deployment.name)} if deployment.has_gpu else set()
    writes = any(one.gpu and one.task is Task.TEXT_GENERATION for one in deployment.models)
    weights = {weights_stack(deployment.name)} if writes else set()
    return images_of(deployment) | states | weights


def tagged_stacks(client: Client, deployment: Deployment) -> list[dict[str, Any]]:
    """Return CloudFormation's descriptions of the deployment's stacks.

    They have the tag and a name that begins with the deployment's. A name alone may be that of another deployment:
    `shop-eu-cpu` is of `shop` as much as of `shop-eu`.
    """
    pages = client.get_paginator("describe_stacks").paginate()
    return [stack for page in pages for stack in page["Stacks"] if _is_of(stack, deployment)]


def _is_of(stack: dict[str, Any], deployment: Deployment) -> bool:
    if stack["StackStatus"] == EMPTY and not stack.get("Tags"):
        return stack["StackName"] in stacks_of(deployment)
    tags = {tag["Key"]: tag["Value"] for tag in stack.get("Tags", ())}
    return tags.get(TAG) == deployment.name and stack["StackName"].startswith(f"{deployment.name}-")


def find_stacks(client: Client, deployment: Deployment) -> list[Stack]:
    """Return the deployment's stacks with their templates."""
    return [_read(client, stack) for stack in tagged_stacks(client, deployment)]


def _read(client: Client, stack: dict[str, Any]) -> Stack:
    outputs = ((one["OutputKey"], one["OutputValue"]) for one in stack.get("Outputs", ()))
    return Stack(
        name=stack["StackName"],
        identity=stack["StackId"],
        status=stack["StackStatus"],
        reason=stack.get("StackStatusReason", ""),
        since=stack.get("LastUpdatedTime") or stack["CreationTime"],
        template="" if stack["StackStatus"] == EMPTY else template(client, stack["StackId"]),
        outputs=tuple(outputs),
    )


def template(client: Client, identity: str) -> str:
    """Return the text of a stack's template, also of a deleted one's."""
    body = client.get_template(StackName=identity, TemplateStage="Processed")["TemplateBody"]
    # botocore parses a template that is JSON.
    return body if isinstance(body, str) else json.dumps(body)


def deleted_templates(client: Client, deployment: Deployment) -> Iterator[tuple[str, str]]:
    """Yield name and template of the deployment's deleted stacks: of each name the one that was deleted last.

    CloudFormation keeps them for 90 days:
    https://docs.aws.amazon.com/AWSCloudFormation/latest/APIReference/API_ListStacks.html
    """
    pages = client.get_paginator("list_stacks").paginate(StackStatusFilter=["DELETE_COMPLETE"])
    last: dict[str, dict[str, Any]] = {}
    for stack in (stack for page in pages for stack in page["StackSummaries"]):
        name = stack["StackName"]
        if not name.startswith(f"{deployment.name}-"):
            continue
        if name not in last or stack["CreationTime"] > last[name]["CreationTime"]:
            last[name] = stack
    for name, stack in last.items():
        described = client.describe_stacks(StackName=stack["StackId"])["Stacks"][0]
        if _is_of(described, deployment):
            yield name, template(client, stack["StackId"])


def resources_of(client: Client, identity: str, kinds: tuple[str, ...]) -> set[str]:
    """Return the names of a stack's resources of some types, without what precedes a name in an ARN."""
    pages = client.get_paginator("list_stack_resources").paginate(StackName=identity)
    return {
        resource["PhysicalResourceId"].rpartition("/")[2]
        for page in pages
        for resource in page["StackResourceSummaries"]
        if resource["ResourceType"] in kinds and resource.get("PhysicalResourceId")
    }
