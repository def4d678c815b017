"""Weights that were streamed from a hub are fetched once for a local cloud, whose S3 has them then."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from contracts.names import weights_bucket
from contracts.weights.pushed import Weights, marker_of, prefix_of
from local.cloud import ACCOUNT
from tests.fixtures.local_cloud_client import LocalCloudClient
from tests.fixtures.problems import assert_problems
from tests.turnout.push.conftest import SHARDS, deployment
from tests.turnout.push.hub import Behaviour, hub
from turnout.deployed.clients import clients_in
from turnout.push.errors import PushFailed
from turnout.push.fetching import are_here, fetch
from turnout.push.hub import Hub
from turnout.push.local import push_again
from turnout.push.sealing import read_size, seal
from turnout.push.tree import Folder, read_weights

SOURCE = "hf://org/model@main"
FIRST, SECOND = SHARDS


def read(tree: Hub | Folder) -> Weights:
    return read_weights(tree, lambda path, size: None)


def quiet(line: str) -> None:
    """Say nothing."""


def test_weights_of_a_repository_are_fetched_once(folder: Path, tmp_path: Path) -> None:
    target, behaviour = tmp_path / "fetched", Behaviour()
    with hub(folder, behaviour) as environment:
        tree = Hub(SOURCE, environment)
        weights = read(tree)
        assert not are_here(weights, target)
        fetch(tree, weights, target, quiet)
        asked = len(behaviour.asked)
        fetch(tree, weights, target, quiet)
    assert len(behaviour.asked) == asked
    assert are_here(weights, target)
    assert read(Folder(target)).digest == weights.digest
    assert {path.name for path in target.iterdir()} == {file.path for file in weights.files}


def test_a_file_that_was_cut_off_is_fetched_from_there_on(folder: Path, tmp_path: Path) -> None:
    target, behaviour = tmp_path / "fetched", Behaviour()
    target.mkdir()
    (target / f"{FIRST}.half").write_bytes((folder / FIRST).read_bytes()[: 3 << 20])
    with hub(folder, behaviour) as environment:
        tree = Hub(SOURCE, environment)
        weights = read(tree)
        behaviour.asked.clear()
        fetch(tree, weights, target, quiet)
    assert {start for host, _, start in behaviour.asked if host == "files"} == {3 << 20, 0}
    assert (target / FIRST).read_bytes() == (folder / FIRST).read_bytes()


def test_other_bytes_than_were_pushed_are_not_kept(folder: Path, tmp_path: Path) -> None:
    with hub(folder, Behaviour(flips=SECOND)) as environment:
        tree = Hub(SOURCE, environment)
        weights = read(tree)
        with pytest.raises(PushFailed) as caught:
            fetch(tree, weights, tmp_path / "fetched", quiet)
    assert_problems(caught.value.problems, ("weights_differ", "", "other bytes on the hub"))
    assert SECOND in str(caught.value)
    assert not are_here(weights, tmp_path / "fetched")
    assert not list((tmp_path / "fetched").glob("*.half"))


def test_a_local_cloud_has_the_weights_of_a_repository_and_asks_the_hub_once(
    cloud: LocalCloudClient, folder: Path, tmp_path: Path
) -> None:
    of = deployment("streamed")
    of = replace(of, models=(replace(of.models[0], source="hf://org/model@main"),))
    bucket = weights_bucket("streamed", ACCOUNT, "us-east-1")
    stack = {"Bucket": {"Type": "AWS::S3::Bucket", "Properties": {"BucketName": bucket}}}
    clients = clients_in("us-east-1", local=cloud.cloud.credentials())

    def again(environment: dict[str, str]) -> None:
        push_again(
            of,
            tmp_path / "out",
            clients,
            lambda: json.dumps({"Resources": stack}),
            quiet,
            tmp_path / "fetched",
            environment,
        )

    with hub(folder, Behaviour()) as environment:
        tree = Hub(SOURCE, environment)
        weights = read(tree)
        seal(of.models[0], tree, weights, read_size(tree, weights), tmp_path / "out")
        again(environment)
    s3 = cloud.client("s3")
    for file in weights.files:
        found = s3.get_object(Bucket=bucket, Key=prefix_of(weights.digest) + file.path)
        assert found["Body"].read() == (folder / file.path).read_bytes()
    # The next local cloud starts empty, and the hub may be out of reach.
    s3.delete_object(Bucket=bucket, Key=marker_of(weights.digest))
    again({"HF_ENDPOINT": "http://127.0.0.1:9"})
    assert s3.head_object(Bucket=bucket, Key=marker_of(weights.digest))["ContentLength"]
