"""`turnout up --chaos FILE` as its user runs it: a process, whose callers meet the faults that it tells of."""

import json
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from tests.fixtures.paths import ROOT

pytestmark = pytest.mark.system
MODEL = "support-intent"
# One tier of an example that is built, so that little is deployed.
SETTINGS = f"""
[models.{MODEL}]
source = "{ROOT}/examples/support-intent/model"
task   = "text-classification"
eval   = "{ROOT}/examples/support-intent/eval.jsonl"
cpu    = {{ memory_mb = 1769, max_inputs = 32 }}
gate   = {{ min_accuracy_ratio = 0.99, min_agreement = 0.98 }}
"""
# The first has always begun when there is a request, and the second never.
SCRIPT = f"""
[[fault]]
target = "{MODEL}/cpu"
kind   = "throttle"

[[fault]]
target = "lambda"
kind   = "close"
from_s = 100_000
"""
LONGEST_S = 300


def test_a_scripted_fault_is_met_by_callers_and_told_until_the_command_is_ended(
    tmp_path: Path,
) -> None:
    (tmp_path / "models.toml").write_text(SETTINGS, "utf-8")
    (tmp_path / "chaos.toml").write_text(SCRIPT, "utf-8")
    words = ["--config", tmp_path / "models.toml", "--out", ROOT / "models.out"]
    words += ["--chaos", tmp_path / "chaos.toml"]
    process = subprocess.Popen(
        [sys.executable, "-m", "turnout", "up", *map(str, words)],
        cwd=tmp_path,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    with process:
        assert process.stderr is not None
        printed: list[str] = []
        reading = threading.Thread(target=lambda: printed.extend(process.stderr or ()))
        reading.start()
        end = time.monotonic() + LONGEST_S
        while not any("begins:" in line for line in printed):
            assert process.poll() is None, printed
            assert time.monotonic() < end, printed
            time.sleep(0.05)
        # The commands of one folder find each other, wherever the checkout is.
        called = subprocess.run(
            [sys.executable, "-m", "turnout", "call", MODEL, "where is it?", "--json"],
            cwd=tmp_path,
            capture_output=True,
            text=True,
        )
        process.send_signal(signal.SIGINT)
        reading.join(LONGEST_S)
    assert json.loads(called.stdout)["code"] == "tier_unavailable", called.stderr
    assert process.returncode == 0
    told = [line.strip() for line in printed if "begins:" in line]
    assert [line.endswith(f"begins: {MODEL}/cpu throttle") for line in told] == [True]
    assert printed[-1].strip() == "stopped; nothing was left running"
