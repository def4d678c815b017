"""The latency of an artefact, as its build measured it."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from build.proof.golden import evidence_path
from contracts.api.text_generation import MAX_NEW_TOKENS
from contracts.manifest import BrokenArtefact, Manifest, read_manifest

# The unit of a generator's times (`build/families/generators.py`).
NEW_TOKEN = "new token"


@dataclass(frozen=True, slots=True, kw_only=True)
class Latency:
    """Milliseconds of one request with one input, the mean of the user's rows, and what they were measured of.

    A request to a generator is one of `new_tokens`, which is 0 for all others.
    """

    ms: float
    new_tokens: int
    machine: str
    date: str

    def to_json(self) -> dict[str, Any]:
        return {
            "ms": round(self.ms, 4),
            "new_tokens": self.new_tokens,
            "machine": self.machine,
            "date": self.date,
        }

    @property
    def shown(self) -> str:
        of = f" of {self.new_tokens} new tokens" if self.new_tokens else ""
        return f"{self.ms:,.1f} ms a request{of}, measured on {self.machine} on {self.date}"


def read_artefact(folder: Path) -> Manifest | None:
    """Return the manifest of an artefact; None while there is none, or while it is damaged."""
    try:
        return read_manifest(folder)
    except BrokenArtefact:
        return None


def measured(folder: Path, manifest: Manifest | None) -> Latency | str:
    """Return the latency in the evidence of an artefact, or why there is none."""
    if manifest is None:
        return "not built"
    if manifest.pushed:
        return "not measured: no build has run it"
    try:
        evidence = json.loads(evidence_path(folder).read_text("utf-8"))
        digest, ms, unit = evidence["digest"], float(evidence["expected_ms"]), evidence["unit"]
        machine, date = str(evidence["machine"]), str(evidence["date"])
    except (OSError, ValueError, LookupError, TypeError) as error:
        return f"not measured: its evidence cannot be read ({type(error).__name__})"
    if digest != manifest.digest:
        return "not measured: its evidence is of another artefact"
    if ms <= 0:
        return "not measured: the build has no GPU"
    tokens = MAX_NEW_TOKENS.default if unit == NEW_TOKEN else 0
    return Latency(ms=ms * max(1, tokens), new_tokens=tokens, machine=machine, date=date)
