"""Golden answers: some of the rows with the original's outputs, in the shape that is served."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from build.gate import Answers
from build.rows import Row
from build.source import Source
from functions.inference.tasks import softmax

GOLDEN_ROWS = 32


def write_golden(path: Path, source: Source, rows: Sequence[Row], original: Answers) -> None:
    """Rows spread evenly over the file, so that every part of it is there."""
    picked = np.linspace(0, len(rows) - 1, min(GOLDEN_ROWS, len(rows))).round().astype(int)
    lines = [
        json.dumps(
            {"text": rows[i].text, "output": _output(source, original[i])}, ensure_ascii=False
        )
        for i in dict.fromkeys(picked.tolist())
    ]
    path.write_text("\n".join(lines) + "\n", "utf-8")


def _output(source: Source, answer: Any) -> dict[str, Any]:
    if not source.labels:
        return {"embedding": [round(float(x), 6) for x in answer]}
    scores = softmax(answer.tolist())
    best = max(scores)
    return {"label": source.labels[scores.index(best)], "score": round(best, 6)}
