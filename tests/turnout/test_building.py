"""The evidence as `turnout build` shows it, also on terminals that lack its characters."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.fixtures.paths import ROOT
from tests.fixtures.problems import raises
from turnout.building import cells, evidence, notes
from turnout.inspecting import evidence_of

EVIDENCE: dict[str, Any] = {
    "model": "tiny",
    "tier": "cpu",
    "version": "0123456789ab",
    "recipe": "int8",
    "bytes_original": 2_000_000,
    "bytes_built": 500_000,
    "seconds": {"export": 2.0},
    "cosine_mean": 0.99,
    "cosine_low": 0.98,
    "cosine_high": 1.0,
    "cosine_p5": 0.98,
    "rows": 12,
    "processors": [],
    "passed_over": [],
    "notes": [],
    "reading": {"libraries": {"transformers": "5.24.0"}, "why": ""},
}
TRUNCATED = [
    "",
    "{",
    "[]",
    "3",
    '{"version": "0123456789ab"}',
    json.dumps({**EVIDENCE, "seconds": 3}),
]


def written(folder: Path, text: str) -> Path:
    path = folder / "evidence/cpu.json"
    path.parent.mkdir()
    path.write_text(text, "utf-8")
    return path


@pytest.mark.parametrize("text", TRUNCATED)
def test_evidence_that_cannot_be_shown_is_named_with_what_to_do(tmp_path: Path, text: str) -> None:
    path = written(tmp_path, text)
    with raises("artefact_broken", path, "remove it and build again"):
        evidence(path, skipped=False, edge=False)


def test_evidence_is_shown_as_a_row_and_one_golden_row_proves_nothing(tmp_path: Path) -> None:
    found = evidence(written(tmp_path, json.dumps(EVIDENCE)), skipped=False, edge=True)
    assert cells(found)[-2:] == ("2.0 → 0.5", "built in 2 s, with an edge copy")
    assert notes(found) == []
    assert notes({**found, "rows": 1}) == [
        "its gate held for one row, which proves nothing of others; give more under `eval`"
    ]
    unread = {"libraries": {}, "why": "no second reader of a TFLite is at hand"}
    assert notes({**found, "reading": unread}) == [
        "reading not independently checked: no second reader of a TFLite is at hand"
    ]
    assert notes({**found, "sample": True}) == [
        "agreement on sample rows only; add your own under `eval`"
    ]


@pytest.mark.parametrize("text", TRUNCATED[:4])
def test_event_files_are_not_written_from_evidence_that_was_cut_short(
    tmp_path: Path, text: str
) -> None:
    path = written(tmp_path, text)
    with raises("inspection_failed", path, "`turnout build`"):
        evidence_of(path)


@pytest.mark.slow
def test_a_terminal_without_the_characters_is_shown_others(tmp_path: Path) -> None:
    environment = {"PYTHONPATH": str(ROOT), "PYTHONIOENCODING": "ascii", "LC_ALL": "C"}

    def printed(*words: str) -> str:
        return subprocess.run(
            [sys.executable, *words], env=environment, capture_output=True, text=True, check=True
        ).stdout

    file = str(tmp_path / "→.toml")
    assert "/?.toml has no key" in printed("-m", "turnout", "keys", "list", "--keys", file)
    emitted = "from turnout.cli import emit; emit(True, {'a': '→'}, print)"
    assert json.loads(printed("-c", emitted)) == {"a": "→"}
