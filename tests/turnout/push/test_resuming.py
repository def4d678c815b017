"""A push that was cut off reads what is missing, of a folder and of a hub, and no byte that is not what it was."""

import os
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from contracts.weights.pushed import Weights, marker_of, prefix_of
from tests.fixtures.local_cloud_client import LocalCloudClient
from tests.fixtures.problems import assert_problems
from tests.turnout.push.conftest import PART, SHARDS
from tests.turnout.push.counted import Counted
from tests.turnout.push.hub import Behaviour, hub
from tests.turnout.push.test_pushing import Cut, s3_with
from turnout.push.errors import PushFailed
from turnout.push.hub import Hub
from turnout.push.kept import Kept
from turnout.push.pushing import send
from turnout.push.sha256 import can_resume
from turnout.push.tree import Folder, Tree, read_weights

FIRST, SECOND = SHARDS
pytestmark = pytest.mark.skipif(not can_resume(), reason="hashlib is not linked with OpenSSL here")


@pytest.fixture
def kept(tmp_path: Path) -> Kept:
    return Kept(tmp_path / "kept", PART)


def read(tree: Tree, kept: Kept) -> Weights:
    return read_weights(tree, lambda path, size: None, kept)


def cut_off(
    cloud: LocalCloudClient, bucket: str, tree: Tree, kept: Kept, log: Console, parts: int
) -> Weights:
    """Send some parts, and no more."""
    left = [parts]

    def cut(**_: Any) -> None:
        if not left[0]:
            raise Cut
        left[0] -= 1

    weights = read(tree, kept)
    client = s3_with(cloud, "before-call.s3.UploadPart", cut)
    with pytest.raises(Cut):
        send(tree, weights, client, bucket, log, kept)
    return weights


def stored(cloud: LocalCloudClient, bucket: str, weights: Weights, name: str) -> bytes:
    found = cloud.client("s3").get_object(Bucket=bucket, Key=prefix_of(weights.digest) + name)
    body: bytes = found["Body"].read()
    return body


def test_of_a_folder_the_parts_that_are_missing_are_read(
    cloud: LocalCloudClient, bucket: str, folder: Path, log: Console, kept: Kept
) -> None:
    weights = cut_off(cloud, bucket, Folder(folder), kept, log, 2)
    tree = Counted(Folder(folder))
    assert read(tree, kept) == weights
    before = tree.shards
    assert before < 1000
    moved = send(tree, weights, cloud.client("s3"), bucket, log, kept)
    total = sum(tree.sizes[name] for name in SHARDS)
    assert tree.shards - before == total - 2 * PART
    assert moved.there >= 2 * PART
    for name in SHARDS:
        assert stored(cloud, bucket, weights, name) == (folder / name).read_bytes()


def test_the_digest_of_a_folder_that_did_not_change_is_not_read_again(
    folder: Path, kept: Kept
) -> None:
    weights = read(Folder(folder), kept)
    tree = Counted(Folder(folder))
    assert read(tree, kept) == weights
    assert tree.shards < 1000


@pytest.mark.parametrize("times", ["new", "set back"])
def test_a_file_that_changed_in_between_is_read_again(folder: Path, kept: Kept, times: str) -> None:
    weights, path = read(Folder(folder), kept), folder / SECOND
    before, body = path.stat(), bytearray(path.read_bytes())
    body[-1] ^= 1
    path.write_bytes(bytes(body))
    if times == "set back":
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    again = read(Folder(folder), kept)
    assert again.digest != weights.digest
    assert again == read(Folder(folder), Kept())


def test_a_change_that_no_time_tells_is_found_and_the_next_push_reads_all_again(
    cloud: LocalCloudClient, bucket: str, folder: Path, log: Console, kept: Kept
) -> None:
    weights = read(Counted(Folder(folder), "always"), kept)
    body = bytearray((folder / FIRST).read_bytes())
    body[PART + 1] ^= 1
    (folder / FIRST).write_bytes(bytes(body))
    tree, s3 = Counted(Folder(folder), "always"), cloud.client("s3")
    assert read(tree, kept) == weights
    with pytest.raises(PushFailed) as caught:
        send(tree, weights, s3, bucket, log, kept)
    assert_problems(caught.value.problems, ("weights_differ", "", "other bytes than its digest"))
    assert "Uploads" not in s3.list_multipart_uploads(Bucket=bucket)
    again = read(tree, kept)
    assert again == read(Folder(folder), Kept())
    send(tree, again, s3, bucket, log, kept)
    assert stored(cloud, bucket, again, FIRST) == bytes(body)


def test_weights_of_another_time_are_refused_before_a_part_is_sent(
    cloud: LocalCloudClient, bucket: str, folder: Path, log: Console, kept: Kept
) -> None:
    weights = read(Folder(folder), kept)
    body = bytearray((folder / FIRST).read_bytes())
    body[-1] ^= 1
    (folder / FIRST).write_bytes(bytes(body))
    read(Folder(folder), kept)
    s3 = cloud.client("s3")
    with pytest.raises(PushFailed) as caught:
        send(Folder(folder), weights, s3, bucket, log, kept)
    assert_problems(caught.value.problems, ("weights_differ", "", "other bytes than its digest"))
    assert "Uploads" not in s3.list_multipart_uploads(Bucket=bucket)


def test_of_a_hub_the_parts_that_are_missing_are_read(
    cloud: LocalCloudClient, bucket: str, folder: Path, log: Console, kept: Kept
) -> None:
    behaviour = Behaviour()
    with hub(folder, behaviour) as environment:
        tree = Counted(Hub("hf://org/model@main", environment))
        weights = cut_off(cloud, bucket, tree, kept, log, 2)
        tree = Counted(Hub("hf://org/model@main", environment))
        assert read(tree, kept) == weights
        before = tree.shards
        send(tree, weights, cloud.client("s3"), bucket, log, kept)
    assert tree.shards - before == sum(tree.sizes[name] for name in SHARDS) - 2 * PART
    assert marker_of(weights.digest)
    for name in SHARDS:
        assert stored(cloud, bucket, weights, name) == (folder / name).read_bytes()


def test_a_hub_that_gives_other_bytes_the_second_time_is_found(
    cloud: LocalCloudClient, bucket: str, folder: Path, log: Console, kept: Kept
) -> None:
    behaviour = Behaviour()
    with hub(folder, behaviour) as environment:
        tree = Hub("hf://org/model@main", environment)
        weights = cut_off(cloud, bucket, tree, kept, log, 2)
        behaviour.flips = FIRST
        with pytest.raises(PushFailed) as caught:
            send(tree, weights, cloud.client("s3"), bucket, log, kept)
    assert_problems(caught.value.problems, ("weights_differ", "", "other bytes than its digest"))
    assert "Uploads" not in cloud.client("s3").list_multipart_uploads(Bucket=bucket)
