"""README and docs say what is so: their files, commands and tables are checked against the project."""

import re
import subprocess
from pathlib import Path

import pytest

from benchmarks.tables import DOCUMENTS, filled
from local.control.types import INERT
from turnout.laptop import ROOT

README = (ROOT / "README.md").read_text("utf-8")


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_tables_are_those_of_the_results(document: Path) -> None:
    text = document.read_text("utf-8")
    assert filled(text) == text


def test_the_first_screen_has_the_two_commands_and_the_answer() -> None:
    first = "\n".join(README.splitlines()[:60])
    for part in (
        "make demo",
        "make test",
        "[models.support-intent]",
        '"tier": "cpu"',
        '"reason": "fits_cpu"',
    ):
        assert part in first


def test_every_make_target_that_is_named_exists() -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))
    named = {
        name
        for document in DOCUMENTS
        for name in re.findall(r"`?make ([a-z]+)", document.read_text("utf-8"))
    }
    assert named - targets == set()
    assert {"demo", "test", "up"} <= named


def test_every_turnout_command_that_is_named_exists() -> None:
    named = {
        name
        for document in DOCUMENTS
        for name in re.findall(r"turnout (build|plan|up|call|keys)\b", document.read_text("utf-8"))
    }
    assert named == {"build", "plan", "up", "call", "keys"}


def test_every_path_that_is_linked_exists() -> None:
    for document in DOCUMENTS:
        for link in re.findall(r"\]\(([^)#:]+)\)", document.read_text("utf-8")):
            assert (document.parent / link).exists(), f"{document.name} links {link}"


def test_what_is_only_recorded_locally_is_documented() -> None:
    text = (ROOT / "docs/local-cloud.md").read_text("utf-8")
    for what, why in INERT.items():
        assert f"| {what} | {why} |" in text


def test_no_file_names_a_registry_host_or_a_machines_path() -> None:
    pattern = r"/wor[k]/|pyp[i]\.org|pythonhos[t]ed|registry\.npm[j]s|debia[n]\.org"
    found = subprocess.run(
        ["git", "grep", "-lE", pattern], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert found.stdout == ""
