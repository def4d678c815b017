"""The access of a GPU tier's role to pushed weights, and the marker that a deployment waits for."""

import aws_cdk as cdk
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_sagemaker as sagemaker
from constructs import Construct

from contracts.manifest import Manifest
from contracts.names import prober_function, release_parameter, weights_bucket
from contracts.weights.pushed import marker_of, prefix_of
from stacks.permissions import acknowledge_wildcard, allow_wildcard

MARKER = "Custom::TurnoutWeights"


def bucket_of(scope: Construct, deployment: str) -> str:
    """Return the name of the deployment's bucket, by what its stack is deployed to."""
    stack = cdk.Stack.of(scope)
    return weights_bucket(deployment, stack.account, stack.region)


def bucket_arn(scope: Construct, deployment: str, key: str = "") -> str:
    """Return the ARN of the bucket, or of the objects with a key."""
    name = bucket_of(scope, deployment)
    resource = f"{name}/{key}" if key else name
    arn: str = cdk.Stack.of(scope).format_arn(
        service="s3",
        region="",
        account="",
        resource=resource,
        arn_format=cdk.ArnFormat.NO_RESOURCE_NAME,
    )
    return arn


def allow_weights(role: iam.Role, deployment: str, digest: str) -> None:
    """Allow a role to list and to read these weights, and no others."""
    prefix = prefix_of(digest)
    objects = bucket_arn(role, deployment, f"{prefix}*")
    role.add_to_policy(iam.PolicyStatement(actions=["s3:GetObject"], resources=[objects]))
    role.add_to_policy(
        iam.PolicyStatement(
            actions=["s3:ListBucket"],
            resources=[bucket_arn(role, deployment)],
            conditions={"StringLike": {"s3:prefix": f"{prefix}*"}},
        )
    )
    acknowledge_wildcard(role, objects, "these are all files of one digest")


def allow_markers(reader: lambda_.Function, deployment: str) -> None:
    """Allow a function to read the markers of a deployment's weights, and to be told that one is not there."""
    objects = bucket_arn(reader, deployment, marker_of("*"))
    reader.add_to_role_policy(iam.PolicyStatement(actions=["s3:GetObject"], resources=[objects]))
    # Without it S3 says of an object that is not there that it is forbidden.
    listing = iam.PolicyStatement(
        actions=["s3:ListBucket"], resources=[bucket_arn(reader, deployment)]
    )
    reader.add_to_role_policy(listing)
    allow_wildcard(reader, objects, "each push of other weights has a marker of its own")


def data_source(
    scope: Construct, deployment: str, digest: str
) -> sagemaker.CfnModel.ModelDataSourceProperty:
    """Return where SageMaker downloads weights from: every object below their prefix, as it is."""
    model = sagemaker.CfnModel
    return model.ModelDataSourceProperty(
        s3_data_source=model.S3DataSourceProperty(
            # Without the slash at its end it would be a name.
            s3_uri=f"s3://{bucket_of(scope, deployment)}/{prefix_of(digest)}",
            s3_data_type="S3Prefix",
            compression_type="None",
        )
    )


def add_marker(scope: Construct, deployment: str, manifest: Manifest) -> cdk.CustomResource:
    """Have the deployment fail in seconds where the weights are not there, instead of when an instance runs."""
    # As of a probe: the ARN is computed, and nothing is there to be deleted.
    token = cdk.Stack.of(scope).format_arn(
        service="lambda",
        resource="function",
        resource_name=prober_function(deployment),
        arn_format=cdk.ArnFormat.COLON_RESOURCE_NAME,
    )
    return cdk.CustomResource(
        scope,
        "Weights",
        resource_type=MARKER,
        service_token=token,
        service_timeout=cdk.Duration.minutes(2),
        properties={
            "Bucket": bucket_of(scope, deployment),
            "Marker": marker_of(manifest.pushed),
            "Weights": manifest.pushed,
            "Model": manifest.model,
            "Version": manifest.version,
            "Release": release_parameter(deployment, manifest.model, manifest.tier),
        },
        removal_policy=cdk.RemovalPolicy.RETAIN,
    )
