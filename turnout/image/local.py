"""Images that were made, as pushed to the local cloud: recorded in its ECR, and run from where they lie."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import boto3

from contracts.routes import Routes
from images.blob import blob_path
from images.image import Contents
from images.layer import Entry, Layer, write_layer
from images.made.inputs import inputs_of
from images.made.record import read_record, record_made, record_pushed
from images.oci.layout import BLOBS
from images.oci.reading import Layout
from local.cloud import ACCOUNT, Cloud
from turnout.image.current import ROUTES


@dataclass(frozen=True, slots=True, kw_only=True)
class Deployed:
    """The images that a deployment with those contents takes, which lie in a folder, and the routes of its router."""

    contents: Sequence[Contents]
    layouts: Mapping[str, Layout]
    images: Path
    routes: Routes


def publish(deployed: Deployed, cloud: Cloud, record: Path) -> Mapping[str, str]:
    """Put images into the registry of the local cloud; return their references by name.

    They are recorded in the folder `record`, from which the stacks take them: with the keys of this deployment, since
    the router is run with its routes above its image.
    """
    credentials = cloud.credentials()
    client = boto3.client(
        "ecr",
        endpoint_url=credentials["AWS_ENDPOINT_URL"],
        region_name=credentials["AWS_REGION"],
        aws_access_key_id=credentials["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=credentials["AWS_SECRET_ACCESS_KEY"],
    )
    rows = read_record(deployed.images).made
    contents = {one.name: one for one in deployed.contents}
    references = {}
    for name, layout in deployed.layouts.items():
        digest = rows[name].digest
        manifest = blob_path(layout.folder / BLOBS, digest).read_text("utf-8")
        references[name] = f"{_put(client, name, digest, manifest)}@{digest}"
        record_made(record, name, replace(rows[name], inputs=inputs_of(contents[name])))
    record_pushed(record, references)
    return references


def run(deployed: Deployed, cloud: Cloud, blobs: Path) -> None:
    """Have the local cloud run the images, the router's with the routes above it, in a layer in `blobs`.

    Raise RunError where they cannot be isolated, LocalError for an image of another tool.
    """
    for one in deployed.contents:
        if layout := deployed.layouts.get(one.name):
            above: list[Layer] = []
            if one.tier is None:
                entry = Entry(path=ROUTES, source=deployed.routes.to_json().encode())
                above.append(write_layer([entry], blobs))
            cloud.functions.add_image(one.name, layout, above)


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
