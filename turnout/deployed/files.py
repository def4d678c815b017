"""Files of a deployment in the CDK's bucket: templates, and the code of functions."""

from dataclasses import dataclass

from contracts.names import asset_prefix
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
    from botocore.exceptions import ClientError

    bucket = ASSETS.format(account=account, region=deployment.region)
    prefix = asset_prefix(deployment.name)
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
