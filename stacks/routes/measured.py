"""The measurements that a build has made of an artefact, for the router: read from the evidence beside it."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from contracts.manifest import Manifest


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """The milliseconds of one input, or of each token that is written, and the characters of a token of the rows.

    They go by the tokens that are read, the fewest first.
    """

    latency_ms: tuple[tuple[int, float], ...] = ()
    chars_per_token: float = 0.0


def measured(out: Path, manifest: Manifest) -> Measured:
    """Return the measurements of an artefact; none if there is no evidence, or that of another artefact.

    A deployment does not need them: the router then goes by limits, and by the answers of its tiers.
    """
    path = out / manifest.model / "evidence" / f"{manifest.tier}.json"
    try:
        evidence = json.loads(path.read_text("utf-8"))
        if evidence["digest"] != manifest.digest:
            return Measured()
        return Measured(
            latency_ms=_latency_ms(evidence),
            chars_per_token=float(evidence.get("chars_per_token", 0.0)),
        )
    except (OSError, ValueError, LookupError, TypeError, AttributeError):
        return Measured()


def _latency_ms(evidence: Any) -> tuple[tuple[int, float], ...]:
    (chosen,) = (found for found in evidence["candidates"] if found["chosen"])
    return tuple(sorted((int(tokens), float(ms)) for tokens, ms in chosen["ms"].items()))
