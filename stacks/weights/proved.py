"""The mark of an artefact that is not proved, neither by its build nor by rows that its endpoint answered.

`turnout push` proves nothing: no machine of the user's has run the model. `turnout verify MODEL --tier gpu` writes the
record beside the artefact, and the next deployment has the mark lifted.
"""

import json
from pathlib import Path
from typing import Any

from contracts.manifest import Manifest
from contracts.tasks import Tier

RECORD = "gpu-endpoint.json"


def record_path(out: Path, model: str) -> Path:
    """Return the place of the record of what an endpoint answered."""
    return out / model / "evidence" / RECORD


def read_record(out: Path, model: str) -> dict[str, Any] | None:
    """Return the record of what an endpoint answered; None where there is none that can be read."""
    try:
        record: Any = json.loads(record_path(out, model).read_text("utf-8"))
        return record if isinstance(record["holds"], bool) and record["digest"] else None
    except (OSError, ValueError, LookupError, TypeError):
        return None


def is_proved(out: Path, manifest: Manifest) -> bool:
    """Return whether an artefact is proved: of pushed weights, by a record of these very ones that holds."""
    if manifest.tier is not Tier.GPU or not manifest.pushed:
        return True
    record = read_record(out, manifest.model)
    return bool(record and record["holds"] and record["digest"] == manifest.digest)
