"""The processor time in which the router starts, from the process on until its handler is there.

It runs in its own environment, which holds its locked dependencies alone, and in turn with an interpreter that imports
nothing. A start is what Lambda bills as INIT, and what the first caller of an instance waits for.
"""

import argparse
import os
import statistics
import subprocess
import tempfile
from pathlib import Path

from benchmarks.record import ROOT, Row, publish
from benchmarks.serving.asking import ROUTE
from contracts.routes import Routes
from local.python_environments import python_for

CONTENDERS = {
    "an interpreter alone": "pass",
    "the router": "import functions.router.handler",
    "the router, and the OpenAPI document": "import functions.router.handler, fastapi",
}


def processor_ms(python: Path, code: str, routes: Path) -> float:
    """Return the processor time of a fresh process, in milliseconds."""
    environment = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(ROOT),
        "TURNOUT_ROUTES": str(routes),
        "TURNOUT_DOCS": str(routes.parent),
    }
    process = subprocess.Popen([str(python), "-c", code], env=environment, cwd=ROOT)
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"a start failed with exit status {process.returncode}")
    return (used.ru_utime + used.ru_stime) * 1e3


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.router_start", description=__doc__)
    parser.add_argument("--rounds", type=int, default=20)
    rounds = parser.parse_args().rounds
    python = python_for(ROOT / "functions/router", ROOT / ".turnout/venvs", report=print)
    samples: dict[str, list[float]] = {name: [] for name in CONTENDERS}
    with tempfile.TemporaryDirectory() as folder:
        routes = Path(folder) / "routes.json"
        table = Routes(deployment="benchmark", registry="none", models={ROUTE.model: ROUTE})
        routes.write_text(table.to_json(), "utf-8")
        for turn in range(rounds + 1):
            for name, code in CONTENDERS.items():
                took = processor_ms(python, code, routes)
                # The first of each compiles its modules and reads the files from the disk.
                if turn:
                    samples[name].append(took)
    rows: list[Row] = [
        {
            "what": f"{name}, ms",
            "median": round(statistics.median(values)),
            "min": round(min(values)),
            "max": round(max(values)),
        }
        for name, values in samples.items()
    ]
    publish("router_start", rows, rounds=rounds)


if __name__ == "__main__":
    main()
