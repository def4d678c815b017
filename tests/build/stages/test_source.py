"""The reference is run while the source is exported, and what ends one of them ends the other."""

import os
import signal
import threading
from pathlib import Path
from typing import Any

import pytest

from build import api
from build.errors import SourceError
from build.reading.library import library
from build.workspace.cache import FOLDER
from tests.fixtures.models.tiny_bert import classifier, deployment, texts, write_rows

pytestmark = pytest.mark.build

STAGE = "exporting to ONNX, running the reference"


def build(folder: Path, out: Path, progress: Any) -> None:
    rows = write_rows(out.with_suffix(".jsonl"), [{"text": text} for text in texts(40)])
    api.run(api.plan(deployment(folder, rows, gpu=None), out), out, progress)


def test_an_interrupt_of_the_reference_ends_the_export_as_well_and_leaves_nothing(
    tmp_path: Path,
) -> None:
    def interrupt(name: str, stage: str, done: float) -> None:
        if stage == f"{STAGE}: reference: row 1 of 40":
            raise KeyboardInterrupt

    out = tmp_path / "models.out"
    with pytest.raises(KeyboardInterrupt):
        build(classifier(tmp_path / "classifier"), out, interrupt)
    assert os.listdir(out) == [FOLDER]
    assert not [path for path in out.rglob("*") if path.name.startswith(".half-")]


def test_a_failed_export_ends_the_reference(tmp_path: Path) -> None:
    failed = threading.Event()

    def fail(name: str, stage: str, done: float) -> None:
        if stage == f"{STAGE}: reference: row 1 of 40":
            failed.wait()  # so the reference is at work when the export fails
        if stage == f"{STAGE}: fusing the graph":
            failed.set()
            raise SourceError([])

    reference = library()
    with pytest.raises(SourceError):
        build(classifier(tmp_path / "classifier"), tmp_path / "models.out", fail)
    assert reference.process.wait() == -signal.SIGKILL
    assert library() is not reference
