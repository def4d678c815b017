"""One artefact in a process of its own: how long it takes to load, what memory, and how long requests take.

`python -m build.timed FOLDER THREADS` loads the artefact, says so in a line of JSON, and then answers each request
line with how long it took. The parent asks one process at a time.
"""

import json
import sys
import time
from pathlib import Path
from typing import Any

from contracts.prediction import PredictRequest


def main(folder: Path, threads: int) -> None:
    start = time.perf_counter()
    from functions.inference.engine import Engine

    imported = time.perf_counter()
    engine = Engine.load(folder, threads=threads, max_inputs=1_000_000)
    loaded = time.perf_counter()
    _say(import_ms=(imported - start) * 1e3, load_ms=(loaded - imported) * 1e3)
    for line in sys.stdin:
        asked = json.loads(line)
        request = PredictRequest(
            inputs=tuple(asked["inputs"]), parameters=asked.get("parameters", {})
        )
        took = []
        for _ in range(asked["repeats"]):
            begin = time.perf_counter()
            engine.predict(request)
            took.append((time.perf_counter() - begin) * 1e3)
        _say(ms=took, peak_mb=_peak_mb())


def _say(**values: Any) -> None:
    sys.stdout.write(json.dumps(values) + "\n")
    sys.stdout.flush()


def _peak_mb() -> float:
    """The largest resident set so far. `getrusage` would count what the parent had before it started this process."""
    status = Path("/proc/self/status")
    if not status.exists():
        return 0.0
    lines = status.read_text("utf-8").splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM"))


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
