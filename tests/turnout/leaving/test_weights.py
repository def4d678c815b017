"""`turnout orphans` finds pushed weights that nothing serves and no artefact names, and deletes their marker first."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from contracts.models_toml import read_models_toml
from contracts.names import weights_bucket
from contracts.weights.pushed import marker_of, prefix_of
from images.made.record import ImagesRecord
from local.cloud import ACCOUNT
from tests.fixtures.pushed.model import pushed, saved
from tests.turnout.leaving.conftest import REGION, Account, table
from turnout.deployed.clients import Clients, clients_in
from turnout.deployed.inventory import Inventory, orphans, take_inventory
from turnout.leaving.removal import Removal

pytestmark = pytest.mark.system
CHAT = """
[deployment]
name = "NAME"
[models.chat]
source = "saved"
task = "text-generation"
eval = "rows.jsonl"
gpu = { instance = "ml.g6.xlarge" }
"""
# S3's smallest part that is not the last one.
PART = 5 << 20
SERVED, OLD, CUT = "b" * 64, "c" * 64, "d" * 64


def bucket_of(account: Account, name: str) -> str:
    """Return the bucket of a deployment, made by its stack."""
    bucket = weights_bucket(name, ACCOUNT, REGION)
    of = {"Type": "AWS::S3::Bucket", "Properties": {"BucketName": bucket}}
    assert account.stack(f"{name}-weights", name, Bucket=of) == "CREATE_COMPLETE"
    return bucket


def project(name: str) -> str:
    """Write a project with a model that was pushed; return the digest of its weights."""
    Path("models.toml").write_text(CHAT.replace("NAME", name), "utf-8")
    Path("rows.jsonl").write_text('{"text": "one"}\n', "utf-8")
    saved(Path("saved"))
    (model,) = read_models_toml(Path("models.toml")).models
    return pushed(model, Path("saved"), Path("models.out")).pushed


def put(account: Account, bucket: str, digest: str, *, whole: bool = True) -> None:
    s3 = account.aws.client("s3")
    s3.put_object(Bucket=bucket, Key=f"{prefix_of(digest)}model.safetensors", Body=b"w" * 1000)
    if whole:
        s3.put_object(Bucket=bucket, Key=marker_of(digest), Body=b"{}")


def cut_off(account: Account, bucket: str, digest: str) -> None:
    """Begin an upload, and send a part of it."""
    s3 = account.aws.client("s3")
    of = {"Bucket": bucket, "Key": f"{prefix_of(digest)}model-2.safetensors"}
    upload = s3.create_multipart_upload(**of)["UploadId"]
    s3.upload_part(**of, UploadId=upload, PartNumber=1, Body=b"p" * PART)


def digests(account: Account, bucket: str) -> set[str]:
    listed = account.aws.client("s3").list_objects_v2(Bucket=bucket).get("Contents", ())
    return {
        one["Key"].removeprefix("markers/").removesuffix(".json").split("/")[0] for one in listed
    }


def clients_of(account: Account, seen: Callable[..., None] | None = None) -> Clients:
    made = clients_in(REGION, local=account.aws.cloud.credentials())
    if seen:
        made("s3").meta.events.register("before-call.s3", seen)
    return made


def inventory(clients: Clients) -> Inventory:
    deployment = read_models_toml(Path("models.toml"))
    return take_inventory(deployment, clients, ImagesRecord(), Path("models.out"))


def test_weights_that_no_stack_serves_and_no_artefact_names_are_listed_and_deleted(
    account: Account,
) -> None:
    bucket, local = bucket_of(account, "pushed"), project("pushed")
    served = table("pushed-chat-gpu") | {"Metadata": {"of": f"s3://{bucket}/{SERVED}/"}}
    account.stack("pushed-chat-gpu", "pushed", Table=served)
    for digest in (local, SERVED, OLD):
        put(account, bucket, digest)
    # A push that may be going on now.
    put(account, bucket, CUT, whole=False)
    cut_off(account, bucket, CUT)
    listed = account.run("orphans")
    assert listed.exit_code == 0, listed.output
    today = f"{datetime.now(UTC):%Y-%m}"
    (line,) = [line for line in listed.stdout.splitlines() if line.startswith("weights ")]
    assert line.startswith(f"weights {OLD[:12]} in {bucket} (2 files, 0.00 GB, pushed {today}")
    assert line.endswith("$0.00 a month)")
    done = account.run("orphans", "--delete", "--yes", "--json")
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["problems"] == []
    assert digests(account, bucket) == {local, SERVED, CUT}
    assert len(account.aws.client("s3").list_multipart_uploads(Bucket=bucket)["Uploads"]) == 1


def test_a_push_of_which_nothing_came_for_a_day_is_an_orphan_with_its_parts(
    account: Account,
) -> None:
    bucket = bucket_of(account, "cut")
    project("cut")
    put(account, bucket, CUT, whole=False)
    cut_off(account, bucket, CUT)
    clients = clients_of(account)
    found, deployment = inventory(clients), read_models_toml(Path("models.toml"))
    now = datetime.now(UTC)
    assert orphans(found, deployment, now).weights == ()
    left = orphans(found, deployment, now + timedelta(days=2))
    (weights,) = left.weights
    assert (weights.digest, weights.size, weights.whole) == (CUT, PART + 1000, False)
    assert (len(weights.files), len(weights.uploads)) == (1, 1)
    removal = Removal(clients, lambda line: None)
    removal.run(left)
    # What the lifecycle rule of the bucket aborted meanwhile is no problem.
    removal.run(left)
    assert removal.problems == []
    assert inventory(clients).weights == ()


def test_the_marker_is_deleted_before_the_files_that_it_vouches_for(account: Account) -> None:
    bucket = bucket_of(account, "order")
    project("order")
    put(account, bucket, OLD)
    calls: list[bytes] = []

    def seen(model: Any, params: dict[str, Any], **_: Any) -> None:
        if model.name == "DeleteObjects":
            calls.append(params["body"])

    clients = clients_of(account, seen)
    found = inventory(clients)
    left = orphans(found, read_models_toml(Path("models.toml")), datetime.now(UTC))
    Removal(clients, lambda line: None).run(left)
    assert marker_of(OLD).encode() in calls[0]
    assert b"model.safetensors" not in calls[0]
    assert b"model.safetensors" in calls[1]
    assert digests(account, bucket) == set()


def test_beside_an_artefact_that_cannot_be_read_no_weights_are_orphans(account: Account) -> None:
    bucket = bucket_of(account, "broken")
    project("broken")
    put(account, bucket, OLD)
    Path("models.out/chat/gpu/manifest.json").write_text("{", "utf-8")
    found = inventory(clients_of(account))
    assert [one.digest for one in found.weights] == [OLD]
    deployment = read_models_toml(Path("models.toml"))
    assert orphans(found, deployment, datetime.now(UTC)).weights == ()


def test_with_the_last_model_that_writes_the_bucket_goes_and_all_that_is_in_it(
    account: Account,
) -> None:
    bucket = bucket_of(account, "last")
    put(account, bucket, OLD)
    cut_off(account, bucket, CUT)
    account.aws.client("s3").put_object(Bucket=bucket, Key="note.txt", Body=b"of somebody")
    words = ("--deployment", "last", "--region", REGION)
    listed = account.run("orphans", *words)
    assert f"weights of no push in {bucket} (1 files" in listed.stdout
    assert f"weights {CUT[:12]} in {bucket} (0 files, 1 uploads that were cut off" in listed.stdout
    done = account.run("orphans", *words, "--delete", "--yes")
    assert done.exit_code == 0, done.output
    assert "last-weights" not in account.stacks()
    buckets = account.aws.client("s3").list_buckets()["Buckets"]
    assert bucket not in {one["Name"] for one in buckets}
