"""The worker: one artefact in a process of its own, which runs it on requests and times it.

`python -m build.proof.worker FOLDER THREADS` loads the artefact, reports how long that took in a line of JSON, and then
answers each request line with outputs and times. The parent may put an emulator before the interpreter.
"""

import json
import sys
import time
from pathlib import Path
from typing import Any

from build.evaluation.teacher_forcing import answer
from contracts.prediction import PredictRequest
from functions.inference.engine import Engine


def main(folder: Path, threads: int) -> None:
    start = time.perf_counter()
    # A row may hold more inputs than the endpoint takes at once, such as the texts of a ranking.
    engine = Engine.load(folder, threads=threads, max_inputs=1_000_000)
    send(load_ms=(time.perf_counter() - start) * 1e3)
    for line in sys.stdin:
        message = json.loads(line)
        request = PredictRequest(
            inputs=tuple(message["inputs"]), parameters=message.get("parameters", {})
        )
        durations = []
        for _ in range(message["repeats"]):
            begin = time.perf_counter()
            outputs = answer(engine, request, message.get("forced"))
            durations.append((time.perf_counter() - begin) * 1e3)
        generated = sum(output.get("generated_tokens", 0) for output in outputs)
        send(
            ms=durations,
            units=generated or 1,
            peak_mb=_peak_mb(),
            outputs=outputs if message["with_outputs"] else (),
        )


def send(**values: Any) -> None:
    sys.stdout.write(json.dumps(values) + "\n")
    sys.stdout.flush()


def _peak_mb() -> float:
    """Return the largest resident set so far. `getrusage` would count the parent's memory at the fork as well."""
    status = Path("/proc/self/status")
    if not status.exists():
        return 0.0
    lines = status.read_text("utf-8").splitlines()
    return next((int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM")), 0.0)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
