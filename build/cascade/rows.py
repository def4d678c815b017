"""The rows of a calibration: labelled, of one kind, each text once, and never seen by the models or the gate."""

import hashlib
import json
import random
from collections.abc import Iterable, Sequence
from pathlib import Path

from build.cascade.thresholds import rows_needed
from build.evaluation.jsonlines import RowProblem, parse_object, read_lines
from build.evaluation.rows import Row, RowFormat, read_rows
from contracts.cascade.confidence import binding
from contracts.manifest import Manifest
from contracts.prediction import PredictRequest
from contracts.problems import Code, Problem

# Lines that a message names.
MAX_NAMED = 3


def row_digest(request: PredictRequest) -> str:
    """Return the SHA-256 of what is asked in a row; two rows of the same inputs have the same."""
    asked = [list(request.inputs), sorted(request.parameters.items())]
    return hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()


def digests_in(path: Path, row_format: RowFormat) -> frozenset[str]:
    """Return the digests of the rows of a file, whatever their labels; lines that are no rows of the task count not."""
    lines, _ = read_lines(path)
    return frozenset(_digests(lines, row_format))


def _digests(lines: Iterable[str], row_format: RowFormat) -> Iterable[str]:
    for line in lines:
        try:
            yield row_digest(row_format.parse(parse_object(line), None).request)
        except RowProblem:
            continue


def calibration_rows(
    path: Path, row_format: RowFormat, manifest: Manifest
) -> tuple[tuple[Row, ...], list[Problem]]:
    """Return the rows of a file, each request once, and all problems of the file for a calibration."""
    rows, problems = read_rows(path, row_format, manifest.labels or None, manifest.details)
    if problems:
        return (), problems
    distinct = tuple({row_digest(row.request): row for row in rows}.values())
    if any(row.answer is None for row in distinct):
        problems.append(
            _invalid(path, f"its rows have no {row_format.answer}; add it, as nothing is lost else")
        )
    kinds = {
        json.dumps(binding(manifest.task, row.request.parameters), sort_keys=True)
        for row in distinct
    }
    if len(kinds) > 1:
        some = " and ".join(sorted(kinds)[:2])
        message = f"its rows are of {len(kinds)} kinds of requests ({some}); give those of one"
        problems.append(_invalid(path, message))
    return distinct, problems


def too_few(path: Path, rows: int, max_loss: float, assurance: float) -> list[Problem]:
    """Return a problem if half of so many rows cannot show the bound even without a loss."""
    needed = rows_needed(max_loss, assurance)
    if rows - rows // 2 >= needed:
        return []
    message = (
        f"{rows} different rows are too few: half of them are tested on, and to show a loss of at most {max_loss:.2%} "
        f"takes {needed} test rows without a loss, {2 * needed} rows in all; add rows or raise --max-loss"
    )
    return [Problem(code=Code.ROWS_MISSING, where=str(path), message=message)]


def seen_rows(rows: Sequence[Row], seen: dict[str, frozenset[str]]) -> list[str]:
    """Return a sentence for each named set of rows that some of the rows are among."""
    sentences = []
    for name, digests in seen.items():
        found = [row for row in rows if row_digest(row.request) in digests]
        if found:
            shown = ", ".join(json.dumps(row.request.inputs[0])[:60] for row in found[:MAX_NAMED])
            sentences.append(f"{len(found)} of its rows are among {name}, such as {shown}")
    return sentences


def halves(rows: Sequence[Row], seed: str) -> tuple[list[int], list[int]]:
    """Return the places of the rows to fit on and of those to test on, drawn by the seed."""
    places = list(range(len(rows)))
    random.Random(seed).shuffle(places)
    middle = len(places) // 2
    return sorted(places[:middle]), sorted(places[middle:])


def _invalid(path: Path, message: str) -> Problem:
    return Problem(code=Code.ROWS_INVALID, where=str(path), message=message)
