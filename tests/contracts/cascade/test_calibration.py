"""A calibration is sealed: it is read as it was written, or not at all."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from contracts.cascade.calibration import (
    Bin,
    BrokenCalibration,
    Calibration,
    Point,
    read_calibration,
)
from contracts.tasks import Task

POINT = Point(threshold=0.8, kept=0.7, lost=0.002, bound=0.009, accuracy=0.95)
MADE = Calibration(
    model="intents",
    task=Task.TEXT_CLASSIFICATION,
    cpu="c" * 64,
    gpu="d" * 64,
    max_loss=0.01,
    assurance=0.95,
    chosen=POINT,
    test_rows=500,
    fit_rows=500,
    disagreed=12,
    cpu_accuracy=0.9,
    gpu_accuracy=0.95,
    calibration_error=0.08,
    calibration_error_fitted=0.02,
    reliability=(Bin(rows=50, confidence=0.9, right=0.85),),
    curve=(POINT, replace(POINT, threshold=0.0, kept=1.0)),
    rows_sha256="e" * 64,
    created="2026-11-26T23:00:00+00:00",
    parameters={"candidate_labels": ["ä", "b"]},
    doubts=("3 of its rows are among the rows of the gate",),
).sealed()


def test_it_is_read_as_it_was_written(tmp_path: Path) -> None:
    path = tmp_path / "calibration.json"
    assert read_calibration(path) is None
    path.write_text(MADE.to_json(), "utf-8")
    assert read_calibration(path) == MADE


@pytest.mark.parametrize("field", ["threshold", "max_loss", "cpu", "doubts", "chosen"])
def test_it_is_refused_once_anything_in_it_was_changed(tmp_path: Path, field: str) -> None:
    document = json.loads(MADE.to_json())
    changes: dict[str, dict[str, object]] = {
        "threshold": {"chosen": {**document["chosen"], "threshold": 0.1}},
        "max_loss": {"max_loss": 0.5},
        "cpu": {"cpu": "f" * 64},
        "doubts": {"doubts": []},
        "chosen": {"chosen": None},
    }
    path = tmp_path / "calibration.json"
    path.write_text(json.dumps({**document, **changes[field]}), "utf-8")
    with pytest.raises(BrokenCalibration, match="calibration.json"):
        read_calibration(path)


@pytest.mark.parametrize("text", ["", "[]", "null", "{}", '{"schema": 2}', "[" * 100_000, "\x00"])
def test_any_other_file_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "calibration.json"
    path.write_text(text, "utf-8")
    with pytest.raises(BrokenCalibration):
        read_calibration(path)


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    (tmp_path / "calibration.json").mkdir()
    with pytest.raises(BrokenCalibration, match="calibration.json: it cannot be read"):
        read_calibration(tmp_path / "calibration.json")
