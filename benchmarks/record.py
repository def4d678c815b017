"""Result files: figures with machine, date and commit."""

import json
import os
import platform
import statistics
import subprocess
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from build.proof.processors import cpu_flags, instruction_set

ROOT = Path(__file__).resolve().parent.parent
RESULTS = Path(__file__).resolve().parent / "results"

Row = dict[str, str | int | float]


def machine() -> dict[str, Any]:
    """Return the processor's name and instructions, its cores, the memory, the system."""
    cpuinfo = Path("/proc/cpuinfo").read_text("utf-8") if Path("/proc/cpuinfo").exists() else ""
    names = [line.split(":", 1)[1].strip() for line in cpuinfo.splitlines() if "model name" in line]
    pages = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return {
        "cpu": names[0] if names else platform.processor(),
        # Not one of the sets that artefacts are proved for, but the peak of what others compute with.
        "instructions": instruction_set() + (" and AMX" if "amx_int8" in cpu_flags() else ""),
        "cores": os.cpu_count(),
        "memory_gib": round(pages / 2**30, 1),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
    }


# What a benchmark itself changes.
WRITTEN = (":!benchmarks/results", ":!README.md", ":!docs")


def commit() -> str:
    """Return the measured commit, marked if anything but results has changed since."""
    head = _git("rev-parse", "--short=12", "HEAD")
    changed = _git("status", "--porcelain", "--", ".", *WRITTEN)
    return f"{head or 'unknown'}{'-dirty' if changed else ''}"


def _git(*words: str) -> str:
    done = subprocess.run(["git", *words], cwd=ROOT, capture_output=True, text=True, check=False)
    return done.stdout.strip()


def publish(name: str, rows: Sequence[Row], **facts: Any) -> None:
    """Write `results/<name>.json` and print it."""
    now = datetime.now(UTC)
    document = {
        "name": name,
        "date": now.date().isoformat(),
        "time": now.strftime("%H:%M"),
        "commit": commit(),
        "machine": machine(),
        **facts,
        "rows": list(rows),
    }
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{name}.json"
    text = json.dumps(document, indent=2, ensure_ascii=False) + "\n"
    path.write_text(text, "utf-8")
    print(path.relative_to(ROOT), text, sep="\n")


def spread(samples: Sequence[float]) -> dict[str, float]:
    """Return median, 90th and 99th percentile of a sample, rounded to 3 decimals."""
    cuts = statistics.quantiles(samples, n=100, method="inclusive")
    return {
        "p50": round(statistics.median(samples), 3),
        "p90": round(cuts[89], 3),
        "p99": round(cuts[98], 3),
    }
