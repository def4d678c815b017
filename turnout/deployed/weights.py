"""Pushed weights in the deployment's bucket, by their digest: what they take, and who names them."""

import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from contracts.manifest import BrokenArtefact, read_manifest
from contracts.names import weights_bucket
from contracts.specs import Deployment
from contracts.tasks import Tier
from contracts.weights.pushed import marker_of
from turnout.deployed.clients import Client, code_of
from turnout.deployed.files import AssetFile
from turnout.deployed.stacks import Stack

# A file of weights, or their marker: `contracts/weights/pushed.py`.
KEY = re.compile(r"([0-9a-f]{64})/.*|markers/([0-9a-f]{64})\.json")
# A push that was cut off so long ago is not gone on with, unless somebody says so.
GOING_ON = timedelta(days=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class CutUpload:
    """A file that was sent in parts, and not to its end; its parts are paid for, and no listing of files has them."""

    key: str
    upload: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PushedWeights:
    """All that lies below one digest; `size` has the parts of uploads that were cut off, `changed` is the latest time.

    `digest` is empty for what is not of a push. `whole` are weights that have their marker. `stacks` are those that
    serve them, and `wanted` are those of an artefact on this machine.
    """

    bucket: str
    region: str
    digest: str
    files: tuple[AssetFile, ...]
    uploads: tuple[CutUpload, ...]
    size: int
    changed: datetime
    stacks: tuple[str, ...]
    wanted: bool

    @property
    def whole(self) -> bool:
        return any(one.key == marker_of(self.digest) for one in self.files)

    def may_go_on(self, now: datetime) -> bool:
        """Return whether a push may still be sending them."""
        return not self.whole and now - self.changed < GOING_ON

    def to_json(self) -> dict[str, Any]:
        return {
            "weights": f"s3://{self.bucket}/{self.digest}",
            "files": len(self.files),
            "uploads": len(self.uploads),
            "bytes": self.size,
            "whole": self.whole,
            "changed": self.changed,
            "stacks": self.stacks,
        }


def find_weights(
    s3: Client, deployment: Deployment, account: str, stacks: Sequence[Stack], out: Path
) -> list[PushedWeights]:
    """Return the weights in the deployment's bucket; none without their bucket. `out` has the artefacts."""
    from botocore.exceptions import ClientError

    bucket = weights_bucket(deployment.name, account, deployment.region)
    files: defaultdict[str, list[dict[str, Any]]] = defaultdict(list)
    uploads: defaultdict[str, list[dict[str, Any]]] = defaultdict(list)
    try:
        for one in _versions(s3, bucket):
            files[_digest(one["Key"])].append(one)
        for one in _uploads(s3, bucket):
            uploads[_digest(one["Key"])].append(one)
    except ClientError as error:
        if code_of(error) == "NoSuchBucket":
            return []
        raise
    named = pushed_digests(deployment, out)
    found = []
    for digest in sorted(files.keys() | uploads.keys()):
        times = (one["LastModified"] for one in files[digest])
        found.append(
            PushedWeights(
                bucket=bucket,
                region=deployment.region,
                digest=digest,
                files=tuple(
                    AssetFile(bucket=bucket, key=one["Key"], version=one["VersionId"])
                    for one in files[digest]
                ),
                uploads=tuple(
                    CutUpload(key=one["Key"], upload=one["UploadId"]) for one in uploads[digest]
                ),
                size=sum(int(one.get("Size", 0)) for one in (*files[digest], *uploads[digest])),
                changed=max((*times, *(one["Changed"] for one in uploads[digest]))),
                stacks=tuple(one.name for one in stacks if digest and digest in one.template),
                wanted=named is None or digest in named,
            )
        )
    return found


def pushed_digests(deployment: Deployment, out: Path) -> set[str] | None:
    """Return the digests that artefacts of the deployment's models name; None where one of these cannot be read."""
    folders = (out / model.name / Tier.GPU for model in deployment.models if model.gpu)
    try:
        return {read_manifest(folder).pushed for folder in folders if folder.is_dir()} - {""}
    except BrokenArtefact:
        return None


def _digest(key: str) -> str:
    found = KEY.fullmatch(key)
    return str(found[1] or found[2]) if found else ""


def _versions(s3: Client, bucket: str) -> Iterator[dict[str, Any]]:
    for page in s3.get_paginator("list_object_versions").paginate(Bucket=bucket):
        for kind in ("Versions", "DeleteMarkers"):
            yield from page.get(kind, ())


def _uploads(s3: Client, bucket: str) -> Iterator[dict[str, Any]]:
    """Yield each upload that was not ended, with the bytes of its parts and the time of the last one."""
    for page in s3.get_paginator("list_multipart_uploads").paginate(Bucket=bucket):
        for one in page.get("Uploads", ()):
            of = {"Bucket": bucket, "Key": one["Key"], "UploadId": one["UploadId"]}
            pages = s3.get_paginator("list_parts").paginate(**of)
            parts = [part for page in pages for part in page.get("Parts", ())]
            yield {
                **one,
                "Size": sum(part["Size"] for part in parts),
                "Changed": max((one["Initiated"], *(part["LastModified"] for part in parts))),
            }
