"""Golden rows: some of the user's, with the original's answers and those of the artefact when it was built."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from build.evaluation.metrics import Outputs
from build.evaluation.rows import Row
from contracts.manifest import BrokenArtefact
from contracts.prediction import PredictRequest

GOLDEN = "golden.jsonl"
GOLDEN_ROWS = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class Golden:
    """One request, the original's outputs for it, and those of the artefact on the machine that built it."""

    request: PredictRequest
    original: Outputs
    built: Outputs


def write_golden(
    path: Path, rows: Sequence[Row], original: Sequence[Outputs], built: Sequence[Outputs]
) -> None:
    """Rows spread evenly over the file, so that every part of it is there."""
    picked = np.linspace(0, len(rows) - 1, min(GOLDEN_ROWS, len(rows))).round().astype(int)
    lines = [
        json.dumps(
            {
                **rows[i].request.to_wire(),
                "outputs": rounded(list(original[i])),
                "built": rounded(list(built[i])),
            },
            ensure_ascii=False,
        )
        for i in dict.fromkeys(picked.tolist())
    ]
    path.write_text("\n".join(lines) + "\n", "utf-8")


def read_golden(folder: Path) -> list[Golden]:
    """The golden rows of an artefact; raises BrokenArtefact where it has none that can be replayed."""
    path = folder / GOLDEN
    try:
        found = list(_read(path))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise BrokenArtefact(
            f"{path} has no rows with what the artefact answered when it was built; build the model again"
        ) from error
    if not found:
        raise BrokenArtefact(f"{path} has no rows; build the model again")
    return found


def _read(path: Path) -> Iterator[Golden]:
    # Not `splitlines`: JSON leaves characters within texts as they are that Python takes for ends of lines.
    for line in path.read_text("utf-8").split("\n"):
        if line:
            row = json.loads(line)
            yield Golden(
                request=PredictRequest(inputs=tuple(row["inputs"]), parameters=row["parameters"]),
                original=row["outputs"],
                built=row["built"],
            )


def rounded(value: Any) -> Any:
    """Floats with as many digits as two machines agree on."""
    match value:
        case float():
            return round(value, 6)
        case dict():
            return {key: rounded(part) for key, part in value.items()}
        case list() | tuple():
            return [rounded(part) for part in value]
    return value
