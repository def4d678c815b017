"""Images that were made, as pushed to the local cloud: recorded in its ECR, and run from where they lie."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import boto3

from images.blob import blob_path
from images.made.record import read_record, record_made, record_pushed
from images.oci.layout import BLOBS
from local import made_images
from local.cloud import ACCOUNT, Cloud


def publish(images: Path, cloud: Cloud, record: Path) -> Mapping[str, str]:
    """Have the local cloud run every image that was made in a folder; return the references by name.

    They are recorded in the folder `record`, from which the stacks take them. Raise LocalError for an image that cannot
    be run here.
    """
    credentials = cloud.credentials()
    client = boto3.client(
        "ecr",
        endpoint_url=credentials["AWS_ENDPOINT_URL"],
        region_name=credentials["AWS_REGION"],
        aws_access_key_id=credentials["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=credentials["AWS_SECRET_ACCESS_KEY"],
    )
    references = {}
    for name, row in read_record(images).made.items():
        digest = made_images.add(images / name, cloud.state / "images")
        manifest = blob_path(images / name / BLOBS, digest).read_text("utf-8")
        references[name] = f"{_put(client, name, digest, manifest)}@{digest}"
        record_made(record, name, row)
    record_pushed(record, references)
    return references


def _put(client: Any, name: str, digest: str, manifest: str) -> str:
    """Make a repository with one image; return its address."""
    client.create_repository(repositoryName=name)
    client.put_image(
        repositoryName=name,
        imageManifest=manifest,
        imageTag=digest.rpartition(":")[2][:12],
        imageDigest=digest,
    )
    return f"{ACCOUNT}.dkr.ecr.{client.meta.region_name}.amazonaws.com/{name}"
