"""What a build measured: kept beside the artefact, not sealed into it, because it differs from run to run."""

import platform
import resource
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from contracts.manifest import Manifest


def evidence(
    manifest: Manifest,
    *,
    rows: int,
    bytes_original: int,
    figures: Mapping[str, float],
    tried: Sequence[Mapping[str, Any]],
    seconds: Mapping[str, float],
) -> dict[str, Any]:
    """The figures of one artefact, with the machine and the day they were taken on."""
    return {
        "model": manifest.model,
        "tier": manifest.tier,
        "version": manifest.version,
        "digest": manifest.digest,
        "task": manifest.task,
        "precision": manifest.precision,
        "recipe": manifest.recipe,
        "rows": rows,
        **figures,
        "bytes_original": bytes_original,
        "bytes_built": manifest.size,
        "tried": list(tried),
        "seconds": dict(seconds),
        "peak_rss_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
        "machine": processor(),
        "date": datetime.now(UTC).date().isoformat(),
        "toolchain": dict(manifest.toolchain),
    }


def processor() -> str:
    """The processor's name, where the system tells it."""
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text("utf-8").splitlines() if cpuinfo.exists() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()
