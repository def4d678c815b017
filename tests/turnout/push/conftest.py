"""A local cloud, and a model in two shards that are each sent in parts."""

import hashlib
import json
import random
from collections.abc import Iterator
from pathlib import Path

import pytest
from rich.console import Console

from contracts.specs import Deployment, GpuSpec, ModelSpec
from contracts.tasks import Task
from local.cloud import Cloud
from tests.fixtures.local_cloud_client import LocalCloudClient
from tests.fixtures.pushed.model import CONFIG, safetensors

# S3's smallest part that is not the last one.
PART = 5 << 20
SHARDS = {"model-00001-of-00002.safetensors": 12 << 20, "model-00002-of-00002.safetensors": 7 << 20}
INDEX = {
    "metadata": {"total_size": sum(SHARDS.values())},
    "weight_map": {f"layer.{number}": name for number, name in enumerate(SHARDS)},
}


@pytest.fixture(scope="session")
def bytes_of_shards() -> dict[str, bytes]:
    return {
        name: safetensors(random.Random(seed).randbytes(size))
        for seed, (name, size) in enumerate(SHARDS.items())
    }


@pytest.fixture
def folder(tmp_path: Path, bytes_of_shards: dict[str, bytes]) -> Path:
    """Return a model as it was saved, with files that no server loads."""
    target = tmp_path / "model"
    (target / "original").mkdir(parents=True)
    for name, body in bytes_of_shards.items():
        (target / name).write_bytes(body)
    texts = {
        "config.json": CONFIG,
        "model.safetensors.index.json": INDEX,
        "tokenizer.json": {"model": {}},
        "tokenizer_config.json": {"chat_template": "{{ messages[0]['content'] }}"},
    }
    for name, document in texts.items():
        (target / name).write_text(json.dumps(document), "utf-8")
    (target / "pytorch_model.bin").write_bytes(b"\x80\x04 a pickle")
    (target / "modeling.py").write_text("raise SystemExit", "utf-8")
    (target / "original/consolidated.safetensors").write_bytes(b"the same again")
    return target


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalCloudClient]:
    with Cloud(tmp_path_factory.mktemp("cloud")) as running:
        yield LocalCloudClient(running)


@pytest.fixture
def bucket(cloud: LocalCloudClient, request: pytest.FixtureRequest) -> str:
    name = f"bucket-{abs(hash(request.node.name))}"
    cloud.client("s3").create_bucket(Bucket=name)
    return name


@pytest.fixture
def log() -> Console:
    """Return the log of a push, which is no terminal."""
    return Console(quiet=True)


def deployment(name: str) -> Deployment:
    spec = ModelSpec(
        name="chat",
        source=Path("nowhere"),
        task=Task.TEXT_GENERATION,
        eval=Path("nowhere"),
        gpu=GpuSpec(instance="ml.g6.xlarge"),
    )
    return Deployment(name=name, models=(spec,))


def sha256(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest()
