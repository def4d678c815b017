"""Edge copies of tiny models: built, and asked where none of our code is."""

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import build
from contracts.prediction import PredictRequest
from contracts.specs import CpuSpec, Deployment
from contracts.tasks import Task
from functions.inference.engine import Engine
from tests.tiny_bert import deployment, write_rows

PLAIN = CpuSpec(quantize="none", portable=False)
Row = dict[str, Any]


def built(source: Path, task: Task, rows: Sequence[Row], out: Path, **cpu: Any) -> Path:
    """The edge folder of a whole build, in full precision unless `cpu` says otherwise."""
    spec = wanted(source, task, rows, **cpu)
    build.run(build.plan(spec, out), out)
    return out / "tiny/edge"


def wanted(source: Path, task: Task, rows: Sequence[Row], **cpu: Any) -> Deployment:
    path = write_rows(source / "rows.jsonl", rows)
    return deployment(source, path, task, cpu=replace(PLAIN, **cpu), gpu=None, edge=True)


def run(folder: Path, *words: str, stdin: str = "") -> list[Any]:
    """The outputs that run.py prints; it has nothing of ours to import."""
    done = _ran(folder, *words, stdin=stdin)
    assert done.returncode == 0, done.stderr
    return [one for line in done.stdout.splitlines() for one in json.loads(line)["outputs"]]


def refused(folder: Path, *words: str) -> str:
    """What run.py says of what it does not answer."""
    done = _ran(folder, *words)
    assert done.returncode == 1
    return done.stderr


def _ran(folder: Path, *words: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-I", "run.py", *words],
        input=stdin,
        cwd=folder,
        env={"PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        encoding="utf-8",
        check=False,
    )


def served(out: Path, *inputs: Any, **parameters: Any) -> list[dict[str, Any]]:
    engine = Engine.load(out / "tiny/cpu")
    return list(engine.predict(PredictRequest(inputs=inputs, parameters=parameters)).outputs)


def asked(folder: Path, *inputs: Any, **parameters: Any) -> Any:
    line = json.dumps({"inputs": inputs, "parameters": parameters})
    return run(folder, stdin=line + "\n")
