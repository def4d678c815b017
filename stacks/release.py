"""The release that a deployment leaves of itself: a version of a model on a tier, as a parameter of Systems Manager.

It is a resource of the model's own stack. CloudFormation writes it once the version serves, restores it with the
version before, and deletes it with the stack: no function has to be there for that, and stacks go in any order.
"""

import json

import aws_cdk as cdk
from aws_cdk import aws_ssm as ssm
from constructs import Construct, IDependable

from contracts.manifest import Manifest
from contracts.names import prober_function, release_parameter


def add_release(
    scope: Construct,
    deployment: str,
    manifest: Manifest,
    address: str,
    after: IDependable,
    **more: str,
) -> None:
    """Write the release, with `more` facts of its tier, once its resources are in service."""
    facts = {
        "tier": manifest.tier,
        "version": manifest.version,
        "digest": manifest.digest,
        "precision": manifest.precision,
        "task": manifest.task,
        "address": address,
        "size": manifest.size,
        **more,
    }
    release = ssm.StringParameter(
        scope,
        "Release",
        parameter_name=release_parameter(deployment, manifest.model, manifest.tier),
        string_value=json.dumps(facts),
        description=f"Turnout: the release of {manifest.model} on its {manifest.tier} tier",
    )
    release.node.add_dependency(after)


def add_probe(
    scope: Construct, deployment: str, manifest: Manifest, address: str, after: IDependable
) -> cdk.CustomResource:
    """Have the function answer its probe; the deployment fails if it does not."""
    # The ARN is computed from names: a reference would be an export, which locks the router's stack.
    token = cdk.Stack.of(scope).format_arn(
        service="lambda",
        resource="function",
        resource_name=prober_function(deployment),
        arn_format=cdk.ArnFormat.COLON_RESOURCE_NAME,
    )
    probe = cdk.CustomResource(
        scope,
        "Probe",
        resource_type="Custom::TurnoutProbe",
        service_token=token,
        # CloudFormation would wait an hour for a function that does not respond.
        service_timeout=cdk.Duration.minutes(2),
        properties={
            "Address": address,
            "Version": manifest.version,
            "Release": release_parameter(deployment, manifest.model, manifest.tier),
        },
        # A probe leaves nothing behind. Without this, CloudFormation would ask the prober to delete it, and not delete
        # the stack once the prober has gone with the router's.
        # https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-attribute-deletionpolicy.html
        removal_policy=cdk.RemovalPolicy.RETAIN,
    )
    probe.node.add_dependency(after)
    return probe
