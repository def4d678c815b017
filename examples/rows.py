"""The support-intent data set: rows written for this project, split by hand into training and evaluation.

Those of the two tiers, for the gate and the calibration, were written later, and split by the digests of their texts.
"""

import json
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent / "support-intent"
TWO_TIERS = HERE.parent / "two-tiers"
OUT_OF_SCOPE = "out-of-scope"


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One utterance and its intent."""

    text: str
    label: str


def read(name: str, folder: Path = HERE) -> list[Row]:
    """Return the rows of `train` or `eval`, or of `gate` or `calibration` in the folder of two tiers."""
    lines = (folder / f"{name}.jsonl").read_text("utf-8").split("\n")
    return [Row(**json.loads(line)) for line in lines if line]
