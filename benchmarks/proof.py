"""Proof of the example models: each artefact against its reference, on the example's labelled rows.

The figures are the evidence that `turnout build` wrote; `make models` makes it.
"""

import json
from typing import Any

from benchmarks.record import ROOT, Row, publish
from turnout.building import proof

OUT = ROOT / "models.out"
# The stage that asks what is to ship on emulated processors.
EMULATED = "choosing"


def took(document: dict[str, Any]) -> dict[str, float]:
    """Return the seconds by stage."""
    seconds: dict[str, float] = document["seconds"]
    return seconds


def main() -> None:
    found = [json.loads(path.read_text("utf-8")) for path in sorted(OUT.glob("*/evidence/*.json"))]
    rows: list[Row] = [
        {
            "model": one["model"],
            "tier": one["tier"],
            "recipe": one["recipe"],
            "rows": one["rows"],
            "against the original": proof(one),
            "MB before": round(one["bytes_original"] / 1e6, 1),
            "MB after": round(one["bytes_built"] / 1e6, 1),
            "s to build": round(sum(took(one).values()) - took(one)[EMULATED]),
            "s on other processors": round(took(one)[EMULATED]),
        }
        for one in found
    ]
    publish("proof", rows)


if __name__ == "__main__":
    main()
