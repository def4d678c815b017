"""The bucket of pushed weights, in a stack of its own: `turnout push` makes it before any model can be deployed."""

from typing import Any

import aws_cdk as cdk
from aws_cdk import aws_s3 as s3
from constructs import Construct

from contracts.names import weights_bucket, weights_stack

# An upload that was cut off is gone on with for so long; its parts are paid for, and no listing shows them.
UPLOAD_DAYS = 7


class WeightsStack(cdk.Stack):
    """The bucket. What lies in it never changes, so that it needs no versions; only an empty one can be deleted."""

    def __init__(self, scope: Construct, name: str, *, deployment: str, **options: Any) -> None:
        super().__init__(scope, name, stack_name=name, **options)
        bucket = s3.Bucket(
            self,
            "Bucket",
            bucket_name=weights_bucket(deployment, self.account, self.region),
            block_public_access=s3.BlockPublicAccess.BLOCK_ALL,
            object_ownership=s3.ObjectOwnership.BUCKET_OWNER_ENFORCED,
            # A key of one's own would be asked for at every download.
            encryption=s3.BucketEncryption.S3_MANAGED,
            enforce_ssl=True,
            minimum_tls_version=1.2,
            versioned=False,
            lifecycle_rules=[
                s3.LifecycleRule(
                    abort_incomplete_multipart_upload_after=cdk.Duration.days(UPLOAD_DAYS)
                )
            ],
            removal_policy=cdk.RemovalPolicy.DESTROY,
        )
        cdk.Validations.of(bucket).acknowledge(
            cdk.Acknowledgment(
                id="AwsSolutions-S1",
                reason="a log of accesses would need a second bucket, and the roles of models alone read this one",
            )
        )


def add_weights_stack(
    app: cdk.App, deployment: str, account: str | None, region: str
) -> WeightsStack:
    """Add the stack, the same whether `turnout push` or the CDK's command line deploys it."""
    return WeightsStack(
        app,
        weights_stack(deployment),
        deployment=deployment,
        env=cdk.Environment(account=account, region=region),
        # A template without assets needs nothing of the bootstrap stack.
        synthesizer=cdk.DefaultStackSynthesizer(generate_bootstrap_version_rule=False),
        description="Turnout: weights of models that are too large for an image",
    )
