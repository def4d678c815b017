"""Permissions that several functions have, each for what is this deployment's alone."""

from collections.abc import Sequence

import aws_cdk as cdk
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_

from contracts.names import registry, states_stack

# Why what is allowed of an endpoint ends with a star.
ANOTHER_TYPE = "an endpoint of a model on another instance type has another name"


def allow_releases(reader: lambda_.Function, deployment: str) -> None:
    """Allow a function to read the releases of a deployment, and no other parameters."""
    path = registry(deployment).removeprefix("/")
    stack = cdk.Stack.of(reader)
    arn = stack.format_arn(service="ssm", resource="parameter", resource_name=f"{path}/*")
    reader.add_to_role_policy(iam.PolicyStatement(actions=["ssm:GetParameters"], resources=[arn]))
    allow_wildcard(reader, arn, "each model's tiers have their releases below it")


def allow_states(caller: lambda_.Function, deployment: str, *actions: str) -> None:
    """Allow a function to do these with the rows of the shared states; the table is named, so nothing is exported."""
    arn = cdk.Stack.of(caller).format_arn(
        service="dynamodb", resource="table", resource_name=states_stack(deployment)
    )
    caller.add_to_role_policy(iam.PolicyStatement(actions=list(actions), resources=[arn]))


def endpoint_arns(stack: cdk.Stack, name: str, *kinds: str) -> Sequence[str]:
    """Return the ARNs of a GPU tier on any instance type: until a new endpoint stands, the one before it serves."""
    return [
        stack.format_arn(service="sagemaker", resource=kind, resource_name=f"{name}-*")
        for kind in kinds
    ]


def allow_wildcard(caller: lambda_.Function, arn: str, reason: str) -> None:
    """Acknowledge to cdk-nag that an ARN in what a function may do ends with a star."""
    assert isinstance(caller.role, iam.Role)
    acknowledge_wildcard(caller.role, arn, reason)


def acknowledge_wildcard(role: iam.Role, arn: str, reason: str) -> None:
    """Acknowledge to cdk-nag that an ARN in a role's policy ends with a star."""
    stack, shown = cdk.Stack.of(role), arn
    # It writes what is not known at synthesis by its name in templates.
    for part, name in ((stack.partition, "AWS::Partition"), (stack.account, "AWS::AccountId")):
        if cdk.Token.is_unresolved(part):
            shown = shown.replace(part, f"<{name}>")
    cdk.Validations.of(role).acknowledge(
        cdk.Acknowledgment(id=f"AwsSolutions-IAM5[Resource::{shown}]", reason=reason)
    )
