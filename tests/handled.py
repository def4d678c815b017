"""The CPU function as the runtime calls it: in a process of its own, a model folder named by its environment."""

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from turnout.laptop import ROOT

FORBIDDEN = (
    "aws_cdk",
    "boto3",
    "fastapi",
    "mangum",
    "onnx",
    "optimum",
    "pydantic",
    "starlette",
    "torch",
    "transformers",
)

CALLS = """
import json, sys, types
from functions.cpu.handler import handler
context = types.SimpleNamespace(aws_request_id="r-1", get_remaining_time_in_millis=lambda: 20_000)
answers = [handler(event, context) for event in json.load(sys.stdin)]
loaded = sorted({name.split(".")[0] for name in sys.modules})
print(json.dumps({"answers": answers, "modules": loaded}))
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ran:
    answers: list[Any]
    modules: list[str]
    log: str


def run(model: Path, *events: object, **environment: str) -> Ran:
    """What the function answers to the events, one after the other in one process."""
    done = subprocess.run(
        [sys.executable, "-c", CALLS],
        input=json.dumps(events),
        env={
            "PATH": os.environ["PATH"],
            "PYTHONPATH": str(ROOT),
            "TURNOUT_MODEL_DIR": str(model),
            **environment,
        },
        capture_output=True,
        text=True,
        check=True,
    )
    return Ran(**json.loads(done.stdout), log=done.stderr)
