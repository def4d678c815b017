"""One artefact in a process of its own, which runs it on requests and times it.

`python -m build.proof.worker FOLDER THREADS` loads the artefact, reports that in a line of JSON, and then answers each
request line with outputs and times. The parent may put an emulator before the interpreter.
"""

import json
import sys
import time
from pathlib import Path
from typing import Any

from contracts.prediction import PredictRequest


def main(folder: Path, threads: int) -> None:
    from build.evaluation.teacher_forcing import answer
    from functions.inference.engine import Engine

    start = time.perf_counter()
    engine = Engine.load(folder, threads=threads, max_inputs=1_000_000)
    send(load_ms=(time.perf_counter() - start) * 1e3)
    for line in sys.stdin:
        asked = json.loads(line)
        request = PredictRequest(
            inputs=tuple(asked["inputs"]), parameters=asked.get("parameters", {})
        )
        took = []
        for _ in range(asked["repeats"]):
            begin = time.perf_counter()
            outputs = answer(engine, request, asked.get("along"))
            took.append((time.perf_counter() - begin) * 1e3)
        written = sum(output.get("generated_tokens", 0) for output in outputs)
        send(
            ms=took,
            units=written or 1,
            peak_mb=_peak_mb(),
            outputs=outputs if asked["answer"] else (),
        )


def send(**values: Any) -> None:
    sys.stdout.write(json.dumps(values) + "\n")
    sys.stdout.flush()


def _peak_mb() -> float:
    """The largest resident set so far. `getrusage` would count what the parent had before it started this process."""
    status = Path("/proc/self/status")
    if not status.exists():
        return 0.0
    lines = status.read_text("utf-8").splitlines()
    return next((int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM")), 0.0)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
