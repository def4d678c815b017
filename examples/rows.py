"""The support-intent data set: rows written for this project, split by hand into training and evaluation."""

import json
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent / "support-intent"
OUT_OF_SCOPE = "out-of-scope"


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One utterance and its intent."""

    text: str
    label: str


def read(name: str) -> list[Row]:
    """Return the rows of `train` or `eval`."""
    lines = (HERE / f"{name}.jsonl").read_text("utf-8").split("\n")
    return [Row(**json.loads(line)) for line in lines if line]
