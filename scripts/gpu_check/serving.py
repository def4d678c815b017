"""The container's server as a process on this machine: its start, its answers, and what its callers see."""

import json
import os
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks.record import ROOT, Row, spread
from contracts.prediction import PredictRequest
from functions.gpu.app import LOADING
from local.children import end, free_port, start

# Seconds that the server may take to load, to answer, and to end.
START_S, ANSWER_S, GRACE_S = 300.0, 60.0, 30.0


class NoServer(Exception):
    """A server that ended, or was not ready in time, with what its ping said last."""


def served(
    artefact: Path,
    device: str,
    requests: Sequence[PredictRequest],
    callers: Sequence[int],
    seconds: float,
) -> tuple[dict[str, Any], list[list[dict[str, Any]]]]:
    """Return the figures of the server, and its outputs for the requests, asked one by one; raise NoServer.

    Each number of callers asks the first request for so many seconds, each caller again as soon as it is answered.
    """
    with tempfile.TemporaryDirectory() as folder, running(artefact, device) as (port, ready_s):
        bodies = [json.dumps(request.to_wire()).encode() for request in requests]
        outputs = [_ask(port, body) for body in bodies]
        body = Path(folder) / "body.json"
        body.write_bytes(bodies[0])
        rows = [_load(port, body, count, seconds) for count in callers]
    return {"ready_s": ready_s, "callers": rows}, outputs


@contextmanager
def running(artefact: Path, device: str) -> Iterator[tuple[int, float]]:
    """Run `python -m functions.gpu`, and yield its port and the seconds from its start until its ping is answered."""
    port, begun = free_port(), time.monotonic()
    facts = {
        "TURNOUT_DEVICE": device,
        "TURNOUT_MODEL_DIR": str(artefact.absolute()),
        "TURNOUT_HOST": "127.0.0.1",
        "SAGEMAKER_BIND_TO_PORT": str(port),
    }
    with tempfile.TemporaryFile() as log:
        process = start(
            [sys.executable, "-m", "functions.gpu"],
            environment={**os.environ, **facts},
            folder=ROOT,
            output=log,
        )
        try:
            _wait(port, process, begun + START_S)
            yield port, round(time.monotonic() - begun, 2)
        finally:
            end(process, grace_s=GRACE_S)


def _wait(port: int, process: subprocess.Popen[bytes], until: float) -> None:
    said = "it does not listen"
    while time.monotonic() < until and process.poll() is None:
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{port}/ping", timeout=5).close()
            return
        except urllib.error.HTTPError as error:
            said = json.loads(error.read())["detail"]
            if said != LOADING:
                break
        except OSError:
            pass
        time.sleep(0.05)
    raise NoServer(f"the container's server is not ready: {said}")


def _ask(port: int, body: bytes) -> list[dict[str, Any]]:
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/invocations", body, {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=ANSWER_S) as answer:
        outputs: list[dict[str, Any]] = json.loads(answer.read())["outputs"]
    return outputs


def _load(port: int, body: Path, callers: int, seconds: float) -> Row:
    """Return what so many callers see, who are in a process of their own."""
    words = [str(port), str(body), "--seconds", str(seconds), "--callers", str(callers)]
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.serving.client", *words],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    seen = json.loads(done.stdout)
    ms = spread(seen["ms"])
    return {
        "callers": callers,
        "answers a second": round(len(seen["ms"]) / seen["seconds"], 1),
        "failed": seen["failed"],
        "p50 ms": ms["p50"],
        "p99 ms": ms["p99"],
    }
