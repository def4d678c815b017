"""Golden answers: some of the rows with the original's outputs, in the shape that is served."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from build.metrics import Outputs
from build.rows import Row

GOLDEN_ROWS = 32


def write_golden(path: Path, rows: Sequence[Row], original: Sequence[Outputs]) -> None:
    """Rows spread evenly over the file, so that every part of it is there."""
    picked = np.linspace(0, len(rows) - 1, min(GOLDEN_ROWS, len(rows))).round().astype(int)
    lines = [
        json.dumps(
            {**rows[i].request.to_wire(), "outputs": _rounded(list(original[i]))},
            ensure_ascii=False,
        )
        for i in dict.fromkeys(picked.tolist())
    ]
    path.write_text("\n".join(lines) + "\n", "utf-8")


def _rounded(value: Any) -> Any:
    """Floats with as many digits as two machines agree on."""
    match value:
        case float():
            return round(value, 6)
        case dict():
            return {key: _rounded(part) for key, part in value.items()}
        case list():
            return [_rounded(part) for part in value]
    return value
