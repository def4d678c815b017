"""The registry row that a deployment writes about itself: one release, a version of a model on a tier."""

import aws_cdk as cdk
from constructs import Construct, IDependable

from contracts.manifest import Manifest
from contracts.names import registrar_function, registry_table


def add_registry_row(
    scope: Construct, deployment: str, manifest: Manifest, address: str, after: IDependable
) -> cdk.CustomResource:
    """Register the version after its resources are in service; the old version's row is removed afterwards."""
    stack = cdk.Stack.of(scope)
    # The ARN is computed from names: a reference would be an export, which locks the router's stack.
    token = stack.format_arn(
        service="lambda",
        resource="function",
        resource_name=registrar_function(deployment),
        arn_format=cdk.ArnFormat.COLON_RESOURCE_NAME,
    )
    release = cdk.CustomResource(
        scope,
        "Release",
        resource_type="Custom::TurnoutRelease",
        service_token=token,
        # CloudFormation would wait an hour for a function that does not respond.
        service_timeout=cdk.Duration.minutes(2),
        properties={
            "Table": registry_table(deployment),
            "Model": manifest.model,
            "Tier": manifest.tier,
            "Version": manifest.version,
            "Digest": manifest.digest,
            "Precision": manifest.precision,
            "Task": manifest.task,
            "Address": address,
            "Size": manifest.size,
        },
    )
    release.node.add_dependency(after)
    return release
