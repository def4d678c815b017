"""Golden rows: a sample of the user's, with the outputs of the reference and of the artefact when it was built."""

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
# Every image carries these rows, and `turnout verify` replays them in seconds.
MAX_GOLDEN_ROWS = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class GoldenRow:
    """One request, the reference's outputs for it, and those of the artefact on the machine that built it."""

    request: PredictRequest
    reference: Outputs
    built: Outputs


def write_golden(
    path: Path, rows: Sequence[Row], reference: Sequence[Outputs], built: Sequence[Outputs]
) -> None:
    """Write rows spread evenly over the user's, so that every part of their file is represented."""
    picked = np.linspace(0, len(rows) - 1, min(MAX_GOLDEN_ROWS, len(rows))).round().astype(int)
    lines = [
        json.dumps(
            {
                **rows[i].request.to_wire(),
                "outputs": rounded(list(reference[i])),
                "built": rounded(list(built[i])),
            },
            ensure_ascii=False,
        )
        for i in dict.fromkeys(picked.tolist())
    ]
    path.write_text("\n".join(lines) + "\n", "utf-8")


def read_golden(folder: Path) -> list[GoldenRow]:
    """Read the golden rows of an artefact; raise BrokenArtefact if it has none that can be replayed."""
    path = folder / GOLDEN
    try:
        golden = list(_read(path))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise BrokenArtefact(
            f"{path} has no rows with what the artefact answered when it was built; build the model again"
        ) from error
    if not golden:
        raise BrokenArtefact(f"{path} has no rows; build the model again")
    return golden


def _read(path: Path) -> Iterator[GoldenRow]:
    # Not `splitlines`: JSON leaves characters within texts as they are that Python takes for ends of lines.
    for line in path.read_text("utf-8").split("\n"):
        if line:
            row = json.loads(line)
            yield GoldenRow(
                request=PredictRequest(inputs=tuple(row["inputs"]), parameters=row["parameters"]),
                reference=row["outputs"],
                built=row["built"],
            )


def rounded(value: Any) -> Any:
    """Return the value with its floats rounded to the digits on which two machines agree."""
    match value:
        case float():
            # A float32 has seven significant digits, of which sums on another machine change the last.
            return round(value, 6)
        case dict():
            return {key: rounded(part) for key, part in value.items()}
        case list() | tuple():
            return [rounded(part) for part in value]
    return value
