"""The start of the router with a table of many models: from a fresh process to the answer of its health check."""

import os
import resource
import statistics
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from benchmarks.record import ROOT

HEALTH = """
import json, sys
from functions.router.handler import handler
event = json.load(open("tests/events/predict.json"))
http = {**event["requestContext"]["http"], "method": "GET", "path": "/health"}
event["requestContext"] = {**event["requestContext"], "http": http}
answer = handler({**event, "rawPath": "/health", "body": None}, None)
print(answer["statusCode"])
"""


def seconds(routes: Path) -> float:
    """Return the processor time of a fresh process; raise SystemExit unless the router answers 200."""
    environment = {
        "PATH": os.environ["PATH"],
        "TURNOUT_ROUTES": str(routes),
        "TURNOUT_DOCS": str(ROOT / "node_modules/swagger-ui-dist"),
        "AWS_DEFAULT_REGION": "us-east-1",
    }
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(
        [sys.executable, "-c", HEALTH],
        env=environment,
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    took = after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime
    if done.stdout.split()[-1:] != ["200"]:
        raise SystemExit(f"the router answered {done.stdout} {done.stderr[-2000:]}")
    return took


def starts(tables: Mapping[int, str], folder: Path, rounds: int) -> dict[int, float]:
    """Return the median milliseconds by the number of models, one start of each in turn; the first is not counted."""
    paths: dict[int, Path] = {}
    for count, text in tables.items():
        paths[count] = folder / f"routes-{count}.json"
        paths[count].write_text(text, "utf-8")
    samples: dict[int, list[float]] = {count: [] for count in tables}
    for number in range(rounds + 1):
        for count, path in paths.items():
            took = seconds(path)
            if number:
                samples[count].append(took * 1e3)
    return {count: statistics.median(times) for count, times in samples.items()}
