"""Pushes to the local cloud's S3: whole, cut off and gone on with, the same again, and with bytes that change."""

import base64
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config
from rich.console import Console

from contracts.manifest import verify
from contracts.problems import ProblemsFound
from contracts.tasks import Tier
from contracts.weights.pushed import Weights, marker_of, prefix_of
from tests.fixtures.local_cloud_client import LocalCloudClient
from tests.fixtures.problems import assert_problems
from tests.fixtures.pushed.model import CONFIG
from tests.turnout.push.conftest import PART, SHARDS, deployment
from turnout.deployed.clients import Clients, clients_in
from turnout.push.bucket import template_of
from turnout.push.errors import PushFailed
from turnout.push.kept import Kept
from turnout.push.pushing import Pushed, model_of, push, send, tree_of
from turnout.push.tree import Folder, read_weights

REGION = "us-east-1"
UPLOADED = {
    "config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "model.safetensors.index.json",
    *SHARDS,
}


class Cut(Exception):
    """The connection is cut off."""


@pytest.fixture
def clients(cloud: LocalCloudClient) -> Clients:
    return clients_in(REGION, local=cloud.cloud.credentials())


def s3_with(cloud: LocalCloudClient, event: str, act: Callable[..., Any]) -> Any:
    """Return a client of the local cloud's S3 on whose way out something is done to each request of an event."""
    client = boto3.client(
        "s3",
        region_name=REGION,
        endpoint_url=cloud.cloud.endpoint_url,
        aws_access_key_id="x",
        aws_secret_access_key="x",
        config=Config(retries={"total_max_attempts": 1}),
    )
    client.meta.events.register(event, act)
    return client


def keys_of(cloud: LocalCloudClient, bucket: str) -> set[str]:
    listed = cloud.client("s3").list_objects_v2(Bucket=bucket)
    return {one["Key"] for one in listed.get("Contents", ())}


def read(folder: Path) -> tuple[Folder, Weights]:
    tree = Folder(folder)
    return tree, read_weights(tree, lambda path, size: None)


def pushed_as(name: str, folder: Path, out: Path, clients: Clients, log: Console) -> Pushed:
    of = deployment(name)
    return push(of, of.models[0], Folder(folder), out, clients, log, Kept(part=PART))


@pytest.mark.system
def test_a_push_makes_the_bucket_sends_what_a_server_loads_and_seals_the_list(
    cloud: LocalCloudClient, clients: Clients, folder: Path, tmp_path: Path, log: Console
) -> None:
    found = pushed_as("shop", folder, tmp_path / "out", clients, log)
    stored = keys_of(cloud, found.bucket)
    digest = found.weights.digest
    assert stored == {f"{digest}/{name}" for name in UPLOADED} | {marker_of(digest)}
    s3 = cloud.client("s3")
    for name in UPLOADED:
        body = s3.get_object(Bucket=found.bucket, Key=prefix_of(digest) + name)["Body"].read()
        assert body == (folder / name).read_bytes()
    marker = s3.get_object(Bucket=found.bucket, Key=marker_of(digest))["Body"].read().decode()
    assert Weights.from_json(marker) == found.weights
    manifest = verify(tmp_path / "out/chat/gpu")
    assert (manifest.pushed, manifest.tier, manifest.precision) == (digest, Tier.GPU, "bfloat16")
    assert manifest.max_tokens == CONFIG["max_position_embeddings"]
    assert found.moved.sent == found.weights.size
    stack = cloud.client("cloudformation").describe_stacks(StackName="shop-weights")["Stacks"][0]
    assert (stack["StackStatus"], stack["Tags"]) == (
        "CREATE_COMPLETE",
        [{"Key": "turnout", "Value": "shop"}],
    )
    # The same bytes again send nothing, and give the same release.
    again = pushed_as("shop", folder, tmp_path / "out", clients, log)
    assert (again.moved.sent, again.moved.there) == (0, found.weights.size)
    assert again.manifest == manifest


def test_a_push_that_was_cut_off_goes_on_behind_the_last_part(
    cloud: LocalCloudClient, bucket: str, folder: Path, log: Console
) -> None:
    tree, weights = read(folder)
    sent: list[int] = []

    def cut(params: dict[str, Any], **_: Any) -> None:
        sent.append(params["query_string"]["partNumber"])
        if len(sent) == 3:
            raise Cut

    with pytest.raises(Cut):
        send(
            tree,
            weights,
            s3_with(cloud, "before-call.s3.UploadPart", cut),
            bucket,
            log,
            Kept(part=PART),
        )
    assert marker_of(weights.digest) not in keys_of(cloud, bucket)
    s3 = cloud.client("s3")
    (upload,) = s3.list_multipart_uploads(Bucket=bucket)["Uploads"]
    parts = s3.list_parts(Bucket=bucket, Key=upload["Key"], UploadId=upload["UploadId"])["Parts"]
    there = sum(part["Size"] for part in parts)
    # The files before it are whole.
    before = sum(file.size for file in weights.files if file.path < next(iter(SHARDS)))
    moved = send(tree, weights, s3, bucket, log, Kept(part=PART))
    assert 0 < there
    assert (moved.there, moved.sent) == (there + before, weights.size - there - before)
    assert "Uploads" not in s3.list_multipart_uploads(Bucket=bucket)
    assert marker_of(weights.digest) in keys_of(cloud, bucket)


def flipped(times: int) -> Callable[..., None]:
    """Return what flips a bit of the first parts that are sent."""
    left = [times]

    def flip(request: Any, **_: Any) -> None:
        if left[0]:
            left[0] -= 1
            body = request.data.read()
            request.data = bytes([body[0] ^ 1]) + body[1:]

    return flip


def test_a_part_with_a_flipped_bit_is_refused_and_sent_again(
    cloud: LocalCloudClient, bucket: str, folder: Path, log: Console
) -> None:
    tree, weights = read(folder)
    s3 = s3_with(cloud, "request-created.s3.UploadPart", flipped(1))
    assert send(tree, weights, s3, bucket, log, Kept(part=PART)).sent == weights.size
    key = prefix_of(weights.digest) + next(iter(SHARDS))
    found = cloud.client("s3").get_object(Bucket=bucket, Key=key)["Body"].read()
    assert found == (folder / next(iter(SHARDS))).read_bytes()


def test_a_line_that_flips_bits_always_ends_the_push_and_names_the_file(
    cloud: LocalCloudClient, bucket: str, folder: Path, log: Console
) -> None:
    tree, weights = read(folder)
    s3 = s3_with(cloud, "request-created.s3.UploadPart", flipped(1000))
    with pytest.raises(PushFailed) as caught:
        send(tree, weights, s3, bucket, log, Kept(part=PART))
    shard = next(iter(SHARDS))
    assert_problems(caught.value.problems, ("weights_differ", "", "arrives with other bytes"))
    assert shard in str(caught.value)
    assert marker_of(weights.digest) not in keys_of(cloud, bucket)


@pytest.mark.parametrize("name", ["model-00002-of-00002.safetensors", "tokenizer.json"])
def test_a_file_that_changes_while_it_is_sent_is_not_stored(
    cloud: LocalCloudClient, bucket: str, folder: Path, log: Console, name: str
) -> None:
    tree, weights = read(folder)
    path = folder / name
    body = bytearray(path.read_bytes())
    body[-1] ^= 1
    path.write_bytes(bytes(body))
    with pytest.raises(PushFailed) as caught:
        send(tree, weights, cloud.client("s3"), bucket, log, Kept(part=PART))
    assert_problems(caught.value.problems, ("weights_differ", "", "other bytes than its digest"))
    assert prefix_of(weights.digest) + name not in keys_of(cloud, bucket)
    assert marker_of(weights.digest) not in keys_of(cloud, bucket)
    assert "Uploads" not in cloud.client("s3").list_multipart_uploads(Bucket=bucket)


def test_what_is_stored_otherwise_than_it_was_sent_is_removed(
    cloud: LocalCloudClient, bucket: str, folder: Path, log: Console
) -> None:
    tree, weights = read(folder)

    def other(parsed: dict[str, Any], **_: Any) -> None:
        if "ChecksumSHA256" in parsed:
            parsed["ChecksumSHA256"] = base64.b64encode(b"0" * 32).decode() + "-3"

    s3 = s3_with(cloud, "after-call.s3.HeadObject", other)
    with pytest.raises(PushFailed) as caught:
        send(tree, weights, s3, bucket, log, Kept(part=PART))
    assert_problems(caught.value.problems, ("weights_differ", "", "stored with other bytes"))
    assert not any(".safetensors" in key and "index" not in key for key in keys_of(cloud, bucket))


def test_the_digest_is_of_names_sizes_and_bytes_and_not_of_the_place(folder: Path) -> None:
    _, weights = read(folder)
    assert {file.path for file in weights.files} == UPLOADED
    moved = folder.rename(folder.with_name("elsewhere"))
    assert read(moved)[1].digest == weights.digest
    (moved / "config.json").write_text(json.dumps({**CONFIG, "rope_theta": 5.0}), "utf-8")
    assert read(moved)[1].digest != weights.digest


@pytest.mark.parametrize(
    ("gone", "named"),
    [
        ("config.json", "config.json"),
        ("tokenizer.json", "tokenizer.json"),
        ("model-00002-of-00002.safetensors", "model-00002-of-00002.safetensors"),
        ("model.safetensors.index.json", "model.safetensors"),
    ],
)
def test_a_folder_that_is_not_whole_is_refused_by_name(folder: Path, gone: str, named: str) -> None:
    (folder / gone).unlink()
    with pytest.raises(PushFailed) as caught:
        read(folder)
    assert_problems(caught.value.problems, ("file_missing", "", f"there is no {named}"))


@pytest.mark.parametrize("index", ["no JSON", "[]", '{"weight_map": {"a": "../../key"}}'])
def test_an_index_that_is_damaged_or_leads_elsewhere_is_refused(folder: Path, index: str) -> None:
    (folder / "model.safetensors.index.json").write_text(index, "utf-8")
    with pytest.raises(PushFailed) as caught:
        read(folder)
    assert_problems(caught.value.problems, ("file_damaged", "", "copy it again"))


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda body: body[:-1], "its header names"),
        (lambda body: body + b"0", "its header names"),
        (lambda body: body[:4], "no header"),
        (lambda body: b"\xff" * len(body), "no header"),
        (lambda body: (2).to_bytes(8, "little") + b"[]" + body, "no header"),
    ],
    ids=["short", "long", "empty", "noise", "list"],
)
def test_a_shard_that_is_cut_short_is_found_before_anything_is_sent(
    folder: Path, spoil: Callable[[bytes], bytes], said: str
) -> None:
    shard = folder / next(iter(SHARDS))
    shard.write_bytes(spoil(shard.read_bytes()))
    with pytest.raises(PushFailed) as caught:
        read(folder)
    assert_problems(caught.value.problems, ("file_damaged", "", said, "copy it again"))


@pytest.mark.parametrize("source", ["nowhere", "s3://bucket/model", "hf://org"])
def test_a_source_that_cannot_be_pushed_is_refused(source: str) -> None:
    with pytest.raises(PushFailed):
        tree_of(source, {})


def test_a_model_that_vllm_does_not_serve_is_refused() -> None:
    of = deployment("shop")
    with pytest.raises(ProblemsFound) as caught:
        model_of(of, "chta")
    assert_problems(caught.value.problems, ("model_unknown", "", "models.toml has chat"))


@pytest.mark.system
def test_the_bucket_is_private_encrypted_and_for_tls_alone() -> None:
    template = json.loads(template_of(deployment("shop"), "123456789012"))
    assert "Parameters" not in template
    (bucket,) = (one for one in template["Resources"].values() if one["Type"] == "AWS::S3::Bucket")
    assert bucket["Properties"]["BucketName"] == "shop-weights-123456789012-us-east-1"
    blocked = bucket["Properties"]["PublicAccessBlockConfiguration"]
    assert len(blocked) == 4
    assert all(blocked.values())
    assert bucket["Properties"]["LifecycleConfiguration"]["Rules"] == [
        {"AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 7}, "Status": "Enabled"}
    ]
    assert "VersioningConfiguration" not in bucket["Properties"]
    assert bucket["DeletionPolicy"] == "Delete"
