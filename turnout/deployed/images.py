"""Images of a deployment in ECR: those that the CDK built and pushed, and those of `turnout image --push`."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from contracts.names import image_tag_prefix
from contracts.specs import Deployment
from images.made.record import ImagesRecord
from images.registry.push import TAG_LENGTH
from stacks.pushed_images import in_ecr
from turnout.deployed.clients import Client
from turnout.deployed.stacks import Stack, deleted_templates, images_of

# The CDK's own repository in an account and region, of a bootstrap without a qualifier of its own.
# https://docs.aws.amazon.com/cdk/v2/guide/bootstrapping-env.html
ASSETS = "cdk-hnb659fds-container-assets-{account}-{region}"
# What a template has of an image by its digest: the repository follows the first slash.
BY_DIGEST = re.compile(r"/([a-z0-9][a-z0-9._/-]*)@sha256:[0-9a-f]{64}")


@dataclass(frozen=True, slots=True, kw_only=True)
class EcrImage:
    """One tag of an image, its compressed bytes, and the names of the stacks that run it.

    `wanted` is true for one that was pushed for the next deployment of a stack of `models.toml`.
    """

    repository: str
    tag: str
    digest: str
    size: int
    pushed: datetime
    stacks: tuple[str, ...]
    wanted: bool = False

    @property
    def name(self) -> str:
        return f"{self.repository}:{self.tag}"


def find_images(
    clients: tuple[Client, Client],
    deployment: Deployment,
    account: str,
    stacks: Sequence[Stack],
    record: ImagesRecord,
) -> list[EcrImage]:
    """Return the deployment's images, by clients of ECR and CloudFormation and the record of what was pushed.

    In the CDK's repository they are those with the deployment's tags. A repository of the user's belongs to the stack
    that it is named after, and in it the tags that `turnout image` makes of digests.
    """
    ecr, cloudformation = clients
    assets = ASSETS.format(account=account, region=deployment.region)
    begins = image_tag_prefix(deployment.name)
    found = [one for one in _tagged(ecr, assets) if one["tag"].startswith(begins)]
    named = repositories(cloudformation, deployment, stacks, record)
    for repository in sorted(named):
        found += [one for one in _tagged(ecr, repository) if _is_pushed(one)]
    wanted = {
        row.reference.rpartition("@")[2]
        for name, row in record.pushed.items()
        if name in images_of(deployment)
    }
    return [
        EcrImage(
            **one,
            stacks=tuple(stack.name for stack in stacks if _runs(stack, one)),
            wanted=_is_pushed(one) and one["digest"] in wanted,
        )
        for one in found
    ]


def _is_pushed(image: Mapping[str, Any]) -> bool:
    return bool(image["tag"] == image["digest"].removeprefix("sha256:")[:TAG_LENGTH])


def _runs(stack: Stack, image: Mapping[str, Any]) -> bool:
    """Return True if a stack's template names the image, by its digest or by the tag that has a hash."""
    return (image["digest"] if _is_pushed(image) else image["tag"]) in stack.template


def _tagged(ecr: Client, repository: str) -> Iterator[dict[str, Any]]:
    """Yield every tag of a repository; none if there is no such repository."""
    try:
        pages = list(ecr.get_paginator("describe_images").paginate(repositoryName=repository))
    except ecr.exceptions.RepositoryNotFoundException:
        return
    for image in (image for page in pages for image in page["imageDetails"]):
        for tag in image.get("imageTags", ()):
            yield {
                "repository": repository,
                "tag": tag,
                "digest": image["imageDigest"],
                "size": int(image.get("imageSizeInBytes", 0)),
                "pushed": image["imagePushedAt"],
            }


def repositories(
    cloudformation: Client, deployment: Deployment, stacks: Sequence[Stack], record: ImagesRecord
) -> set[str]:
    """Return the user's repositories of the deployment's images.

    Templates name them, those of stacks that were deleted included, and so does the record of pushes.
    """
    templates = {stack.name: stack.template for stack in stacks}
    deleted = dict(deleted_templates(cloudformation, deployment))
    named = {
        repository
        for text in (*deleted.values(), *templates.values())
        for repository in BY_DIGEST.findall(text)
    }
    references = (row.reference for row in record.pushed.values())
    pushed = (in_ecr(reference, deployment.region) for reference in references)
    named |= {one.repository for one in pushed if one}
    own = images_of(deployment) | templates.keys() | deleted.keys()
    return {repository for repository in named if repository.rpartition("/")[2] in own}
