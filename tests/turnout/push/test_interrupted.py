"""Ctrl-C in the middle of a push: it says what stays, seals nothing, and the same command goes on."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from contracts.names import weights_bucket
from local.cloud import ACCOUNT
from tests.fixtures.local_cloud_client import LocalCloudClient
from tests.turnout.push.hub import Behaviour, hub

pytestmark = pytest.mark.system
BUCKET = weights_bucket("cut", ACCOUNT, "us-east-1")
TABLE = """
[deployment]
name = "cut"
[models.chat]
source = "hf://org/model@main"
task = "text-generation"
eval = "rows.jsonl"
gpu = { instance = "ml.g6.xlarge" }
"""
# The command line takes seconds to start, on a busy machine many of them.
PATIENCE_S = 300.0
SHARDS = 2


def push(project: Path, environment: dict[str, str]) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-m", "turnout", "push", "chat"],
        cwd=project,
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        # Started in the background of a script, it would ignore an interrupt.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )


def keys(cloud: LocalCloudClient) -> set[str]:
    listed = cloud.client("s3").list_objects_v2(Bucket=BUCKET).get("Contents", ())
    return {one["Key"] for one in listed}


def test_what_was_sent_stays_and_nothing_is_sealed(
    cloud: LocalCloudClient, folder: Path, tmp_path: Path
) -> None:
    project = tmp_path / "project"
    project.mkdir()
    (project / "models.toml").write_text(TABLE, "utf-8")
    (project / "rows.jsonl").write_text('{"text": "one"}\n', "utf-8")
    cloud.client("s3").create_bucket(Bucket=BUCKET)
    # The headers of the shards come; then the first shard breaks off, and nothing more of it comes.
    behaviour = Behaviour(breaks_after=[1 << 20] * SHARDS + [1000] + [0] * 20)
    with hub(folder, behaviour) as of_hub:
        environment = {**cloud.cloud.credentials(), **of_hub}
        process = push(project, environment)
        begun = time.monotonic()
        while not any(key.endswith("/config.json") for key in keys(cloud)):
            assert process.poll() is None
            assert time.monotonic() - begun < PATIENCE_S
            time.sleep(0.1)
        process.send_signal(signal.SIGINT)
        said, _ = process.communicate(timeout=PATIENCE_S)
        assert process.returncode == 130, said
        assert "what was sent stays, without its marker: `turnout push chat` goes on" in said
        assert not (project / "models.out/chat").exists()
        assert not any(key.startswith("markers/") for key in keys(cloud))
        behaviour.breaks_after.clear()
        process = push(project, environment)
        said, _ = process.communicate(timeout=PATIENCE_S)
        assert process.returncode == 0, said
    assert (project / "models.out/chat/gpu/manifest.json").is_file()
    assert any(key.startswith("markers/") for key in keys(cloud))
