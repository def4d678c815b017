"""A large push: killed and gone on with, a bit that flips at rest found, and never much of it in memory.

`make prove` pushes 5 GB in shards of 1 GB; other runs a part of that.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from contracts.manifest import file_sha256
from tests.conftest import PROVE
from tests.fixtures.local_cloud_client import LocalCloudClient
from tests.fixtures.paths import ROOT
from tests.fixtures.pushed.model import saved
from turnout.push.kept import PART

pytestmark = pytest.mark.system

BUCKET = "large"
SHARDS = 5
BLOCKS = 1000 if os.environ.get(PROVE) else 20
# Of one block a MB; a shard has 1 GB of them.
BLOCK = 1_000_000
MOST_MEMORY = 300_000_000


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Yield a model in shards no two blocks of which are the same."""
    folder = saved(tmp_path_factory.mktemp("large") / "model")
    (folder / "model.safetensors").unlink()
    names = [f"model-{number:05}-of-{SHARDS:05}.safetensors" for number in range(1, SHARDS + 1)]
    index = {"metadata": {"total_size": SHARDS * BLOCKS * BLOCK}}
    weight_map = {f"layer.{number}": name for number, name in enumerate(names)}
    text = json.dumps({**index, "weight_map": weight_map})
    (folder / "model.safetensors.index.json").write_text(text, "utf-8")
    noise = os.urandom(BLOCK - 16)
    for shard, name in enumerate(names):
        tensor = {"dtype": "U8", "shape": [BLOCKS * BLOCK], "data_offsets": [0, BLOCKS * BLOCK]}
        header = json.dumps({f"layer.{shard + 1}": tensor}).encode()
        with (folder / name).open("wb") as file:
            file.write(len(header).to_bytes(8, "little") + header)
            for block in range(BLOCKS):
                file.write(shard.to_bytes(8, "little") + block.to_bytes(8, "little") + noise)
    yield folder
    # pytest keeps what the last runs wrote.
    shutil.rmtree(folder)


def client(cloud: LocalCloudClient, folder: Path, *dies_in: str) -> "subprocess.Popen[str]":
    command = [sys.executable, "-m", "tests.turnout.push.client"]
    kept = str(folder.with_name("kept"))
    return subprocess.Popen(
        [*command, cloud.cloud.endpoint_url, BUCKET, str(folder), kept, *dies_in],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
    )


def killed_midway(cloud: LocalCloudClient, folder: Path) -> None:
    """Run a push that is killed within its second shard."""
    process = client(cloud, folder, f"model-00002-of-{SHARDS:05}.safetensors")
    process.communicate()
    assert process.returncode == -signal.SIGKILL


def flip_a_stored_bit() -> None:
    """Flip a bit of a part that the local cloud has."""
    from moto.s3.models import s3_backends

    (bucket,) = (
        backend.buckets[BUCKET]
        for account in s3_backends.values()
        for backend in account.values()
        if BUCKET in backend.buckets
    )
    (upload,) = bucket.multiparts.values()
    stored: Any = upload.parts[1]._value_buffer
    stored.seek(5)
    byte = stored.read(1)[0]
    stored.seek(5)
    stored.write(bytes([byte ^ 1]))


def test_a_push_that_was_killed_goes_on_finds_a_flipped_bit_and_keeps_little_in_memory(
    cloud: LocalCloudClient, large: Path
) -> None:
    s3 = cloud.client("s3")
    s3.create_bucket(Bucket=BUCKET)
    killed_midway(cloud, large)
    (upload,) = s3.list_multipart_uploads(Bucket=BUCKET)["Uploads"]
    assert upload["Key"].endswith(f"model-00002-of-{SHARDS:05}.safetensors")
    flip_a_stored_bit()
    process = client(cloud, large)
    output, _ = process.communicate()
    assert process.returncode == 0
    found = json.loads(output.splitlines()[-1])
    total = sum(path.stat().st_size for path in large.iterdir())
    # The first shard is whole, and the part of the second that was changed is sent again.
    assert found["there"] >= BLOCKS * BLOCK
    assert found["sent"] >= (SHARDS - 2) * BLOCKS * BLOCK + PART
    assert found["sent"] + found["there"] == total
    # Nothing that is there is read, but for the headers of the shards.
    assert found["read"] < found["sent"] + SHARDS * 1000
    assert found["peak"] <= MOST_MEMORY
    for path in sorted(large.glob("*.safetensors")):
        stored = s3.head_object(Bucket=BUCKET, Key=f"{found['digest']}/{path.name}")
        assert stored["ContentLength"] == path.stat().st_size
        assert stored["Metadata"]["sha256"] == file_sha256(path)
    sys.stderr.write(
        f"push of {total / 1e9:.1f} GB: {found['peak'] / 1e6:.0f} MB at most; gone on with, "
        f"{found['read'] / 1e6:,.0f} MB read for the {found['sent'] / 1e6:,.0f} MB that were missing\n"
    )
