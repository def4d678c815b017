"""The artefacts of a folder, by the names that commands have for them."""

from collections.abc import Sequence
from pathlib import Path

from contracts.errors import TurnoutError
from contracts.problems import Code
from contracts.tasks import Tier

# The folder of an edge copy, beside those of the tiers.
EDGE = "edge"


class NothingToVerify(TurnoutError):
    """No artefact is in the folder, or none of the models named."""

    code = Code.ARTEFACT_MISSING


def artefacts(out: Path, models: Sequence[str] | None) -> dict[str, Path]:
    """Return the folders of built tiers and edge copies by their names; raise NothingToVerify if there are none."""
    found = {
        f"{place.name} {tier}": place / tier
        for place in (sorted(out.iterdir()) if out.is_dir() else ())
        for tier in (*Tier, EDGE)
        # `.cache` and `.sources` are the build's own.
        if (place / tier).is_dir() and not place.name.startswith(".")
    }
    built = dict.fromkeys(folder.parent.name for folder in found.values())
    if not found:
        raise NothingToVerify(f"{out}: nothing is built; run `turnout build`")
    if unknown := [model for model in models or () if model not in built]:
        raise NothingToVerify(
            f"{out}: {', '.join(unknown)} not built; what is there is {', '.join(built)}"
        )
    return {n: f for n, f in found.items() if not models or f.parent.name in models}
