"""Golden rows: a sample of the user's, with the outputs of the reference and of the artefact when it was built.

They are the second part of the seal. They lie outside of the artefact's folder, `cpu/` or `gpu/`, which is copied into
images: `evidence/cpu/golden.jsonl` stays on the machine that builds. The evidence beside it, `evidence/cpu.json`, has
its SHA-256 and the artefact's digest, so that neither can be replaced alone. The artefact does not name its golden
rows: its digest is the same with others.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from build.evaluation.metrics import Outputs
from build.evaluation.rows import Row
from build.workspace.publish import write_atomically
from contracts.manifest import (
    BrokenArtefact,
    Manifest,
    SealedFile,
    read_manifest,
    sealed_files,
    verify_file,
)
from contracts.prediction import PredictRequest

GOLDEN = "golden.jsonl"
# The key of the evidence under which it has the file's seal.
SEAL = "golden"
# `turnout verify` replays them in seconds.
MAX_GOLDEN_ROWS = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class GoldenRow:
    """One request, the reference's outputs for it, and those of the artefact on the machine that built it."""

    request: PredictRequest
    reference: Outputs
    built: Outputs


def evidence_path(artefact: Path) -> Path:
    """Return the place of the evidence of the artefact in that folder."""
    return artefact.parent / "evidence" / f"{artefact.name}.json"


def golden_path(artefact: Path) -> Path:
    """Return the place of the golden rows of the artefact in that folder."""
    return evidence_path(artefact).with_suffix("") / GOLDEN


def write_golden(
    artefact: Path, rows: Sequence[Row], reference: Sequence[Outputs], built: Sequence[Outputs]
) -> SealedFile:
    """Write rows spread evenly over the user's, so that every part of their file is represented; return their seal."""
    lines = [
        json.dumps(
            {
                **rows[i].request.to_wire(),
                "outputs": rounded(list(reference[i])),
                "built": rounded(list(built[i])),
            },
            ensure_ascii=False,
        )
        for i in golden_places(len(rows))
    ]
    path = golden_path(artefact)
    write_atomically(path, "\n".join(lines) + "\n")
    (sealed,) = sealed_files(path.parent, [path.name])
    return sealed


def golden_places(rows: int) -> list[int]:
    """Return the places of the golden rows among so many."""
    picked = np.linspace(0, rows - 1, min(MAX_GOLDEN_ROWS, rows)).round().astype(int)
    return list(dict.fromkeys(picked.tolist()))


def read_golden(artefact: Path) -> list[GoldenRow]:
    """Read the golden rows of an artefact after checking their seal; raise BrokenArtefact if none can be replayed."""
    verify_golden(artefact, read_manifest(artefact))
    path = golden_path(artefact)
    try:
        golden = list(_read(path))
    except (ValueError, KeyError, TypeError) as error:
        raise BrokenArtefact(
            f"{path} has no rows with what the artefact answered when it was built; build the model again"
        ) from error
    if not golden:
        raise BrokenArtefact(f"{path} has no rows; build the model again")
    return golden


def verify_golden(artefact: Path, manifest: Manifest) -> None:
    """Raise BrokenArtefact unless the golden rows are there, have the sealed bytes, and are the artefact's own."""
    path = evidence_path(artefact)
    try:
        evidence = json.loads(path.read_text("utf-8"))
        digest, sealed = evidence["digest"], SealedFile(**evidence[SEAL])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise BrokenArtefact(
            f"{path} is missing or incomplete, and has the seal of the golden rows; build the model again"
        ) from error
    if digest != manifest.digest:
        raise BrokenArtefact(
            f"{path} is about another artefact than the one in {artefact}; build the model again"
        )
    verify_file(golden_path(artefact), sealed)


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
