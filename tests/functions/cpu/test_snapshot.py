"""A function that is started from a snapshot is primed before it, and renewed in each environment."""

import json
import random
import subprocess
import sys
from pathlib import Path

import pytest

from contracts.http_errors import ProbeFailed
from functions.cpu.snapshot import prime, renew
from functions.inference.engine import Engine
from functions.inference.probe import PROBE
from tests.fixtures.cpu_function import run
from tests.fixtures.models.tiny import Tiny, artefact, seal
from tests.fixtures.paths import ROOT

pytestmark = pytest.mark.slow

# What AWS's runtime client does between a start and the first event.
HOOKS = """
import json, os, random, sys
random.seed(1)
from functions.cpu.handler import handler
from awslambdaric.lambda_runtime_hooks_runner import run_after_restore, run_before_snapshot
run_before_snapshot()
run_after_restore()
links = [os.readlink(f"/proc/self/fd/{n}") for n in os.listdir("/proc/self/fd") if os.path.exists(f"/proc/self/fd/{n}")]
answer = handler({"inputs": "lovely"}, None)
print(json.dumps({
    "drawn": random.random(), "modules": sorted(sys.modules), "answer": answer,
    "sockets": [link for link in links if "socket" in link],
}))
"""


def test_the_hooks_of_a_snapshot_prime_renew_and_leave_no_connection(tmp_path: Path) -> None:
    folder = artefact(tmp_path / "cpu")
    found = []
    for _ in range(2):
        done = subprocess.run(
            [sys.executable, "-c", HOOKS],
            env={
                "PYTHONPATH": str(ROOT),
                "TURNOUT_MODEL_DIR": str(folder),
                "AWS_LAMBDA_INITIALIZATION_TYPE": "snap-start",
            },
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=True,
        )
        found.append(json.loads(done.stdout))
    first, second = found
    assert "functions.inference.probe" in first["modules"]
    assert first["answer"]["outputs"][0]["label"] == "good"
    assert first["sockets"] == []
    # Both were seeded alike before the snapshot.
    assert first["drawn"] != second["drawn"]


def test_another_start_imports_nothing_for_snapshots(tmp_path: Path) -> None:
    ran = run(artefact(tmp_path / "cpu"), {"inputs": "lovely"})
    assert {"functions.cpu.snapshot", "snapshot_restore_py"} & set(ran.modules) == set()


def test_a_function_that_answers_its_probe_otherwise_gets_no_snapshot(tmp_path: Path) -> None:
    folder = artefact(tmp_path / "cpu")
    prime(Engine.load(folder), folder)
    text = (folder / PROBE).read_text("utf-8").replace('"bad"', '"good"')
    (folder / PROBE).write_text(text, "utf-8")
    engine = Engine.load(seal(folder, Tiny()))
    with pytest.raises(ProbeFailed):
        prime(engine, folder)


def test_two_environments_of_one_snapshot_draw_different_numbers() -> None:
    state = random.getstate()
    try:
        drawn = []
        for _ in range(2):
            random.seed(1)
            renew()
            drawn.append(random.random())
        assert drawn[0] != drawn[1]
    finally:
        random.setstate(state)
