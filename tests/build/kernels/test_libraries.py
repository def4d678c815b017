"""Compiled libraries are taken if they are made of today's sources, and no others."""

import json
from pathlib import Path

import pytest

from build.errors import BuildError
from build.kernels.libraries import MACHINES, NOTE, libraries, write_note
from contracts.manifest import kernels_of


@pytest.fixture
def compiled(tmp_path: Path) -> Path:
    """Return a folder of libraries of a few bytes with its note."""
    for machine in MACHINES:
        (tmp_path / kernels_of(machine)).write_text(machine, "utf-8")
    write_note(tmp_path)
    return tmp_path


def test_each_architecture_has_its_library(compiled: Path) -> None:
    found = libraries(compiled)
    assert {machine: path.read_text("utf-8") for machine, path in found.items()} == {
        machine: machine for machine in MACHINES
    }


def test_without_libraries_the_command_is_named(tmp_path: Path) -> None:
    with pytest.raises(BuildError, match="make kernels"):
        libraries(tmp_path)


def test_libraries_of_other_sources_are_refused(compiled: Path) -> None:
    note = compiled / NOTE
    note.write_text(note.read_text("utf-8").replace('"sources": "', '"sources": "0'), "utf-8")
    with pytest.raises(BuildError, match="make kernels"):
        libraries(compiled)


@pytest.mark.parametrize("text", ["", '{"sources": "', "[]", '"a"', "{}"])
def test_a_damaged_note_is_none(compiled: Path, text: str) -> None:
    (compiled / NOTE).write_text(text, "utf-8")
    with pytest.raises(BuildError, match="not compiled: run `make kernels`"):
        libraries(compiled)


def test_a_library_that_is_missing_or_not_noted_is_refused(compiled: Path) -> None:
    note = json.loads((compiled / NOTE).read_text("utf-8"))
    del note["libraries"]["aarch64"]
    (compiled / NOTE).write_text(json.dumps(note), "utf-8")
    with pytest.raises(BuildError, match=f"{kernels_of('aarch64')} is not what was compiled"):
        libraries(compiled)
    (compiled / kernels_of("x86_64")).unlink()
    with pytest.raises(BuildError, match=f"{kernels_of('x86_64')} is not what was compiled"):
        libraries(compiled)


def test_a_changed_library_is_refused(compiled: Path) -> None:
    path = compiled / kernels_of("aarch64")
    path.write_text("changed", "utf-8")
    with pytest.raises(BuildError, match=f"{path.name} is not what was compiled"):
        libraries(compiled)
