"""The example's models, as `make models` leaves them: proven, small, and better than a bag of words."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from contracts.manifest import verify
from examples.rows import HERE
from tests.fixtures.paths import ROOT
from tests.fixtures.processes import descendants, ended

pytestmark = pytest.mark.system
OUT = ROOT / "models.out"


def evidence(model: str, tier: str) -> dict[str, Any]:
    text = (OUT / model / "evidence" / f"{tier}.json").read_text("utf-8")
    return dict(json.loads(text))


def test_the_quantized_classifier_keeps_its_accuracy_in_a_third_of_the_bytes() -> None:
    found = evidence("support-intent", "cpu")
    assert found["metric_built"] >= 0.99 * found["metric_original"]
    assert found["agreement"] >= 0.98
    assert found["bytes_built"] <= 0.30 * found["bytes_original"]
    assert found["version"] == verify(OUT / "support-intent/cpu").version


def test_the_classifier_in_full_precision_answers_as_the_reference() -> None:
    found = evidence("support-intent", "gpu")
    assert found["metric_built"] == found["metric_original"]
    assert (found["agreement"], found["precision"]) == (1, "fp32")


def test_the_quantized_encoder_points_where_the_reference_does() -> None:
    found = evidence("sentence-embedding", "cpu")
    assert (found["cosine_mean"] >= 0.99, found["cosine_p5"] >= 0.985) == (True, True)
    assert found["bytes_built"] <= 0.30 * found["bytes_original"]


def test_the_classifier_clearly_beats_a_bag_of_words() -> None:
    report = json.loads((HERE / "model/training.json").read_text("utf-8"))
    assert report["rows"] == {"train": 798, "eval": 398}
    assert report["accuracy"] >= report["baseline_accuracy"] + 0.08
    assert report["accuracy"] >= 0.78


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM], ids=lambda s: s.name)
def test_a_local_cloud_that_is_ended_while_it_deploys_leaves_nothing(
    tmp_path: Path, how: signal.Signals
) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "turnout", "up", "--state", str(tmp_path / "state")],
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    with process:
        log = tmp_path / "state/cdk-bootstrap.log"
        while process.poll() is None and not (log.exists() and len(descendants(process.pid)) >= 1):
            time.sleep(0.01)
        started = descendants(process.pid)
        process.send_signal(how)
        printed = process.stderr.read() if process.stderr else ""
    assert started
    assert printed.splitlines()[-1] == "stopped; nothing was left running"
    assert (process.returncode, ended(started)) == (0, True)
    assert not (tmp_path / "state/endpoint.json").exists()
