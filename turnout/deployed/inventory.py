"""Everything of a deployment in one account and region, and what of it `models.toml` no longer names."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from contracts.names import weights_stack
from contracts.specs import Deployment
from images.made.record import ImagesRecord
from turnout.deployed.clients import Clients
from turnout.deployed.endpoints import GpuEndpoint, find_endpoints
from turnout.deployed.files import AssetFile, find_files
from turnout.deployed.images import EcrImage, find_images
from turnout.deployed.stacks import Stack, find_stacks, stacks_of
from turnout.deployed.weights import PushedWeights, find_weights


@dataclass(frozen=True, slots=True, kw_only=True)
class Inventory:
    """The things that were found; `files` are of no cost, and belong to no single stack.

    `weights` are those of models that were pushed; AWS deletes the stack of their bucket only once that is empty.
    """

    account: str
    stacks: tuple[Stack, ...] = ()
    endpoints: tuple[GpuEndpoint, ...] = ()
    images: tuple[EcrImage, ...] = ()
    files: tuple[AssetFile, ...] = ()
    weights: tuple[PushedWeights, ...] = ()

    @property
    def empty(self) -> bool:
        return not (self.stacks or self.endpoints or self.images or self.files or self.weights)

    @property
    def loose(self) -> tuple[GpuEndpoint, ...]:
        """Return the endpoints that no stack has, so that deleting stacks leaves them."""
        return tuple(one for one in self.endpoints if not one.stack)

    def to_json(self) -> dict[str, Any]:
        return {
            "stacks": [stack_json(one) for one in self.stacks],
            "endpoints": [asdict(one) for one in self.endpoints],
            "images": [asdict(one) for one in self.images],
            "files": [f"{one.bucket}/{one.key}" for one in self.files],
            "weights": [one.to_json() for one in self.weights],
        }


def stack_json(stack: Stack) -> dict[str, Any]:
    return {
        "stack": stack.name,
        "state": stack.status,
        "reason": stack.reason,
        "version": stack.version,
        "since": stack.since,
    }


def take_inventory(
    deployment: Deployment, clients: Clients, record: ImagesRecord, out: Path
) -> Inventory:
    """Return everything of the deployment, whose artefacts are in `out`; raises botocore's errors."""
    account = str(clients("sts").get_caller_identity()["Account"])
    cloudformation = clients("cloudformation")
    stacks = find_stacks(cloudformation, deployment)
    return Inventory(
        account=account,
        stacks=tuple(sorted(stacks, key=lambda one: one.name)),
        endpoints=tuple(find_endpoints(clients("sagemaker"), cloudformation, deployment, stacks)),
        images=tuple(
            find_images((clients("ecr"), cloudformation), deployment, account, stacks, record)
        ),
        files=tuple(find_files(clients("s3"), deployment, account)),
        weights=tuple(find_weights(clients("s3"), deployment, account, stacks, out)),
    )


def orphans(found: Inventory, deployment: Deployment, now: datetime) -> Inventory:
    """Return what `models.toml` no longer names at a time.

    These are stacks with what they hold, loose endpoints, images that nobody runs, and weights that nobody serves. An
    unfinished push may be going on, unless nothing was sent for a day.
    """
    own = stacks_of(deployment)
    stacks = tuple(one for one in found.stacks if one.name not in own)
    gone = {one.name for one in stacks}
    bucket = weights_stack(deployment.name)
    return replace(
        found,
        stacks=stacks,
        endpoints=tuple(one for one in found.endpoints if not one.stack or one.stack in gone),
        images=tuple(one for one in found.images if not one.wanted and gone.issuperset(one.stacks)),
        files=(),
        weights=tuple(one for one in found.weights if _left_behind(one, gone, bucket, now)),
    )


def _left_behind(one: PushedWeights, gone: set[str], bucket: str, now: datetime) -> bool:
    """Return whether weights are served by no stack that stays; of a bucket whose stack goes, all are."""
    if bucket in gone:
        return True
    used = one.wanted or not gone.issuperset(one.stacks)
    return bool(one.digest) and not used and not one.may_go_on(now)


def busy(stacks: Sequence[Stack]) -> list[str]:
    """Return the names of stacks that AWS is changing."""
    return [one.name for one in stacks if one.busy]
