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


def is_proved(out: Path, manifest: Manifest) -> bool:
    """Return whether an artefact is proved: of pushed weights, by a record of these very ones that holds."""
    if manifest.tier is not Tier.GPU or not manifest.pushed:
        return True
    try:
        record: Any = json.loads(record_path(out, manifest.model).read_text("utf-8"))
        return bool(record["holds"] is True and record["digest"] == manifest.digest)
    except (OSError, ValueError, LookupError, TypeError):
        return False
