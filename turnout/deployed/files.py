"""Files of a deployment: in the CDK's bucket templates and the code of functions, in its own pushed weights."""

from dataclasses import dataclass

from contracts.names import asset_prefix, weights_bucket
from contracts.specs import Deployment
from turnout.deployed.clients import Client, code_of

# https://docs.aws.amazon.com/cdk/v2/guide/bootstrapping-env.html
ASSETS = "cdk-hnb659fds-assets-{account}-{region}"


@dataclass(frozen=True, slots=True, kw_only=True)
class AssetFile:
    """One version of a file: the bucket keeps all of them."""

    bucket: str
    key: str
    version: str


def find_files(s3: Client, deployment: Deployment, account: str) -> list[AssetFile]:
    """Return every version of the deployment's files, and the markers of deleted ones; none without a bucket."""
    return _versions(
        s3,
        ASSETS.format(account=account, region=deployment.region),
        asset_prefix(deployment.name),
    )


def find_weights(s3: Client, deployment: Deployment, account: str) -> list[AssetFile]:
    """Return every file of weights that were pushed; none without their bucket."""
    return _versions(s3, weights_bucket(deployment.name, account, deployment.region), "")


def _versions(s3: Client, bucket: str, prefix: str) -> list[AssetFile]:
    from botocore.exceptions import ClientError

    pages = s3.get_paginator("list_object_versions").paginate(Bucket=bucket, Prefix=prefix)
    try:
        return [
            AssetFile(bucket=bucket, key=one["Key"], version=one["VersionId"])
            for page in pages
            for kind in ("Versions", "DeleteMarkers")
            for one in page.get(kind, ())
        ]
    except ClientError as error:
        if code_of(error) == "NoSuchBucket":
            return []
        raise
