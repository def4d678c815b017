"""Table of ONNX Runtime's versions: latency of one artefact, size, import time, telemetry.

Telemetry is looked for in two ways: the address in the library's binary, and the sockets that a session opens, counted
by `strace`, with telemetry left on and switched off.
"""

import re
import shutil
import statistics
import subprocess
import tempfile
from argparse import Namespace
from pathlib import Path
from typing import Any

from benchmarks.contenders import OURS, Contender
from benchmarks.contenders.environments import RUNTIMES, python_of
from benchmarks.inference.encoding import LENGTHS, full_cell, work
from benchmarks.inference.taking_turns import by_threads, facts_of
from benchmarks.record import Row, publish

PINNED = "1.28.0"
ADDRESS = b"events.data.microsoft.com"
OFF = {"ORT_DISABLE_TELEMETRY": "1"}
IMPORTS = 7

SESSION = """
import sys, time
import onnxruntime
onnxruntime.InferenceSession(sys.argv[1], providers=["CPUExecutionProvider"])
time.sleep(float(sys.argv[2]))
"""
IMPORT = """
import time
import numpy
start = time.process_time()
import onnxruntime
print((time.process_time() - start) * 1e3)
"""


def main(args: Namespace) -> None:
    items, every = work(args.model)
    workloads = {name: every[name] for name in (f"{n} tokens" for n in LENGTHS)}
    contenders = [
        Contender(
            # `full_cell` relates every time to that of OURS.
            name=OURS if version == PINNED else version,
            environment=f"onnxruntime-{version}",
            opens="ours:graph",
        )
        for version in RUNTIMES
    ]
    rows: list[Row] = []
    facts: list[dict[str, Any]] = []
    about = {c.environment: _about(c.environment, args.envs, args.artefact) for c in contenders}
    for measured in by_threads(
        contenders, args, items, workloads, minutes=args.minutes, name="items-runtimes.jsonl"
    ):
        for contender in contenders:
            version = contender.environment.split("-")[1]
            cells = {w: full_cell(measured.kept, contender.name, w) for w in workloads}
            rows.append(
                {
                    "ONNX Runtime": version,
                    "threads": measured.setting.threads,
                    **cells,
                    **about[contender.environment],
                }
            )
        facts.append(facts_of(measured))
    publish("inference_runtimes", rows, command="benchmarks.inference runtimes", runs=facts)


def _about(environment: str, envs: Path, artefact: Path) -> Row:
    python = python_of(environment, envs)
    package = next((envs / environment).glob("lib/*/site-packages/onnxruntime"))
    # Bytecode is written at the first import and is no part of the package.
    files = [path for path in package.rglob("*") if path.is_file() and path.suffix != ".pyc"]
    library = next(path for path in files if "pybind11_state" in path.name)
    took = [float(_run([str(python), "-c", IMPORT], {})) for _ in range(IMPORTS)]
    model = artefact / "model.onnx"
    return {
        "MB installed": round(sum(path.stat().st_size for path in files) / 1e6, 1),
        "import, ms": round(statistics.median(took)),
        "names a telemetry address": "yes" if ADDRESS in library.read_bytes() else "no",
        "telemetry as it comes": traced(python, model, {}),
        "ORT_DISABLE_TELEMETRY=1": traced(python, model, OFF),
    }


def traced(python: Path, model: Path, environment: dict[str, str], seconds: float = 8) -> str:
    """Return the sockets that a process with one idle session opens, and the files it leaves in a new home."""
    if shutil.which("strace") is None:
        return "strace is not installed"
    with tempfile.TemporaryDirectory() as folder:
        home, log = Path(folder) / "home", Path(folder) / "log"
        home.mkdir()
        words = ["strace", "-f", "-qq", "-e", "trace=socket,connect,sendto,sendmsg", "-o", str(log)]
        command = [*words, str(python), "-c", SESSION, str(model), str(seconds)]
        _run(command, {**environment, "HOME": str(home), "XDG_CACHE_HOME": str(home / ".cache")})
        sockets = re.findall(r"(?:socket|connect)\(.*AF_INET", log.read_text("utf-8"))
        written = [path for path in home.rglob("*") if path.is_file()]
        return f"{len(sockets)} sockets, {len(written)} files"


def _run(words: list[str], environment: dict[str, str]) -> str:
    done = subprocess.run(
        words,
        env={"PATH": "/usr/bin:/bin", **environment},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.strip()
