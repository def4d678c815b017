"""`turnout run` runs the function of a made image until it is interrupted, and says what keeps it from that."""

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from rich.console import Console

from contracts.specs import CpuSpec, Deployment, GpuSpec, ModelSpec
from contracts.tasks import Task
from images.errors import RunError
from images.made.record import read_record
from images.running.choice import remove_abandoned
from images.running.process import started_by
from tests.fixtures.paths import ROOT
from tests.images.running.functions import document, gone, post
from turnout.run.running import Wanted, running

pytestmark = pytest.mark.build

MODELS = """
[deployment]
name = "shop"

[models.intents]
source = "model"
task = "text-classification"
eval = "rows.jsonl"

[models.intents.cpu]
memory_mb = 512
"""


@pytest.fixture
def folder(tmp_path: Path, cpu_image: Path, work: Path) -> Path:
    """A folder with models.toml and the images, in which nothing has to be downloaded twice."""
    (tmp_path / "models.toml").write_text(MODELS, "utf-8")
    (tmp_path / "images.out").mkdir()
    (tmp_path / "images.out" / cpu_image.name).symlink_to(cpu_image)
    (tmp_path / ".turnout/images").mkdir(parents=True)
    (tmp_path / ".turnout/images/wheels").symlink_to(work / "wheels")
    return tmp_path


@contextmanager
def started(folder: Path, *options: str) -> Iterator[tuple[subprocess.Popen[str], dict[str, Any]]]:
    """Run the command until the block ends; yield its process and the document that it prints."""
    code = "from turnout.cli import main; main()"
    command = [sys.executable, "-c", code, "run", "intents", "--isolation", "kernel", "--json"]
    with subprocess.Popen(
        [*command, *options],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout
        assert process.stderr
        lines = []
        for line in process.stdout:
            lines.append(line)
            if line == "}\n":
                break
        else:
            pytest.fail(process.stderr.read())
        try:
            yield process, json.loads("".join(lines))
        finally:
            process.kill()


def listens(url: str) -> bool:
    address = urlsplit(url)
    with socket.socket() as probe:
        return probe.connect_ex((str(address.hostname), address.port or 0)) == 0


def test_the_function_answers_until_it_is_interrupted(folder: Path) -> None:
    with started(folder, "--copies", "2", "--memory", "2048") as (process, found):
        assert found["image"] == "shop-intents-cpu"
        assert found["isolation"] == "kernel"
        assert (found["memory_mb"], found["cpus"]) == (2048, 1.158)
        assert len(found["init_ms"]) == 2
        assert min(found["init_ms"]) > 10
        answer = document(post(found["url"], b'{"inputs": ["lovely"]}'))
        assert answer["outputs"][0]["label"] == "good"
        all_of_it = started_by(process.pid)
        # Of each copy: what waits for its namespace, the emulator, the function.
        assert len(all_of_it) >= 6
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=30)
        assert process.returncode == 0
        assert "[2] START RequestId" in said
        # What the emulator says of itself, and two figures that it does not measure.
        assert not [
            word for word in ("INIT START", "Init Duration", "Max Memory Used") if word in said
        ]
        assert said.endswith("stopped; nothing was left running\n")
        assert gone(all_of_it)
        assert not listens(found["url"])
    # What a machine limits otherwise than Lambda is no evidence.
    starts = read_record(folder / "images.out").starts
    expected = [] if found["notes"] else found["init_ms"]
    assert [(start.digest, start.memory_mb, start.ms) for start in starts] == [
        (found["digest"], 2048, ms) for ms in expected
    ]
    left = {path.name for path in (folder / ".turnout/images").iterdir()}
    assert left == {"rie", "wheels"}


def wanted(folder: Path, model: str) -> Wanted:
    source = Path("nowhere")
    gpu = ModelSpec(
        name="gpu-only",
        source=source,
        task=Task.TEXT_CLASSIFICATION,
        eval=source,
        gpu=GpuSpec(instance="ml.g6.xlarge"),
    )
    words = ModelSpec(
        name="words", source=source, task=Task.FEATURE_EXTRACTION, eval=source, cpu=CpuSpec()
    )
    shop = Deployment(name="shop", models=(gpu, words))
    return Wanted(deployment=shop, model=model, images=folder, work=folder / "work")


@pytest.mark.parametrize(
    ("model", "said", "code"),
    [
        (
            "gpu-only",
            "has no CPU tier in this deployment; there are words, router",
            "model_unknown",
        ),
        ("wordz", "has no CPU tier in this deployment; there are words, router", "model_unknown"),
        ("words", "make it by `turnout image shop-words-cpu`", "file_missing"),
        ("router", "make it by `turnout image shop-router`", "file_missing"),
    ],
)
def test_a_function_that_there_is_not_is_named(
    tmp_path: Path, model: str, said: str, code: str
) -> None:
    with pytest.raises(RunError) as caught, running(wanted(tmp_path, model), Console()):
        pytest.fail("it ran")
    [problem] = caught.value.problems
    assert said in str(problem)
    assert problem.code == code
    assert list(tmp_path.iterdir()) == []


def test_what_a_killed_process_unpacked_is_removed(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as ended:
        ended.wait()
    for name in (f"running-{ended.pid}-a", f"running-{os.getpid()}-b", "wheels"):
        (tmp_path / name / "root").mkdir(parents=True)
    remove_abandoned(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {f"running-{os.getpid()}-b", "wheels"}
