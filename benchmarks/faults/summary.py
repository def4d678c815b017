"""The row of a fault in the table: who answered the requests, what the others got, and the longest time."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from benchmarks.record import Row


def row(fault: str, answers: Sequence[Mapping[str, Any]], met: Sequence[int]) -> Row:
    """Return the row of a fault; `met` has the calls that met it."""
    good = [one for one in answers if one["status"] == 200]
    degraded = [float(one["ms"]) for one in good if one["degraded"]]
    bad = Counter(_said(one) for one in answers if one["status"] != 200)
    return {
        "fault": fault,
        "requests": len(answers),
        "by the CPU tier": sum(one["tier"] == "cpu" for one in good),
        "by the GPU tier": sum(one["tier"] == "gpu" for one in good),
        "degraded": len(degraded),
        "errors": ", ".join(f"{count} × {said}" for said, count in bad.most_common()) or "none",
        "p99 of degraded, ms": round(_p99(degraded)) if degraded else "–",
        "longest, ms": round(max(one["ms"] for one in answers)),
        "calls that met it": sum(met),
    }


def _p99(values: Sequence[float]) -> float:
    """Return the value that 99 % of the values are not above."""
    ordered = sorted(values)
    return ordered[-(-99 * len(ordered) // 100) - 1]


def _said(one: Mapping[str, Any]) -> str:
    """Return an error by its status and its code; the gateway's own have a message alone."""
    return f"{one['status']} {one['code'] or one['message'] or 'no body'}"
