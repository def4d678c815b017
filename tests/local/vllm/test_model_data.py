"""Weights below a prefix of S3 are put into a component's folder, and the server of vLLM's contract serves them."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from moto import mock_aws

from local.containers import Fleet
from local.errors import LocalError
from local.vllm.model_data import model_data
from tests.local.chaos.watched import calm
from tests.local.vllm.stand_in import install

REGION, ACCOUNT = "us-east-1", "123456789012"
SOURCE = {"S3DataType": "S3Prefix", "CompressionType": "None", "S3Uri": "s3://weights/ab12/"}
IMAGE = "763104351884.dkr.ecr.us-east-1.amazonaws.com/vllm:server-sagemaker-cuda-v2.6"


@pytest.fixture
def cloud() -> Iterator[None]:
    with mock_aws():
        s3 = boto3.client("s3", REGION)
        s3.create_bucket(Bucket="weights")
        for key in (
            "ab12/model.safetensors",
            "ab12/deep/config.json",
            "ab123/other",
            "markers/ab12",
        ):
            s3.put_object(Bucket="weights", Key=key, Body=key.encode())
        yield


def model(source: dict[str, Any] | None) -> dict[str, Any]:
    """Create a model and return the specification of a component of it."""
    container = {
        "Image": IMAGE,
        **({"ModelDataSource": {"S3DataSource": source}} if source else {}),
    }
    boto3.client("sagemaker", REGION).create_model(
        ModelName="m",
        ExecutionRoleArn=f"arn:aws:iam::{ACCOUNT}:role/endpoint",
        PrimaryContainer=container,
    )
    return {"ModelName": "m"}


@pytest.mark.usefixtures("cloud")
def test_everything_below_the_prefix_is_written_and_nothing_else(tmp_path: Path) -> None:
    write = model_data(model(SOURCE), ACCOUNT, REGION)
    assert write is not None
    write(tmp_path)
    found = {str(p.relative_to(tmp_path)): p.read_text() for p in tmp_path.rglob("*.*")}
    assert found == {
        "model.safetensors": "ab12/model.safetensors",
        "deep/config.json": "ab12/deep/config.json",
    }


@pytest.mark.usefixtures("cloud")
def test_a_model_in_its_image_has_none() -> None:
    assert model_data(model(None), ACCOUNT, REGION) is None


@pytest.mark.usefixtures("cloud")
@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"S3Uri": "s3://weights/none/"}, "Could not find model data"),
        ({"CompressionType": "Gzip"}, "uncompressed"),
        ({"S3DataType": "S3Object"}, "uncompressed"),
    ],
)
def test_what_is_not_there_or_would_be_unpacked_is_refused(
    changes: dict[str, str], words: str
) -> None:
    with pytest.raises(ValueError, match=words):
        model_data(model({**SOURCE, **changes}), ACCOUNT, REGION)


@pytest.fixture
def fleet(tmp_path: Path) -> Iterator[Fleet]:
    homes = install(tmp_path / "llamacpp"), tmp_path / "vllm"
    fleet = Fleet(tmp_path / "state", tmp_path, chaos=calm(), report=lambda line: None, homes=homes)
    yield fleet
    fleet.close()
    assert fleet.processes() == []


def write(folder: Path) -> None:
    (folder / "model.safetensors").write_bytes(b"weights")


def test_a_component_of_vllm_serves_its_weights(fleet: Fleet) -> None:
    fleet.start("c", IMAGE, {"SM_VLLM_MAX_MODEL_LEN": "512"}, wait_s=120, weights=write)
    reply = fleet.invoke("c", b'{"prompt": "is it"}', "application/json")
    assert (reply.status, json.loads(reply.body)["choices"][0]["text"]) == (200, " yes")
    too_long = fleet.invoke("c", b'{"prompt": "too long"}', "application/json")
    assert (too_long.status, b"context size" in too_long.body) == (424, True)


def test_another_image_gets_no_weights(fleet: Fleet) -> None:
    with pytest.raises(LocalError, match="by vLLM alone"):
        fleet.start("c", "repository:tag", {}, wait_s=1, weights=write)
