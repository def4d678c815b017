"""Compiled libraries are taken if they are made of today's sources, and no others."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from build.errors import BuildError
from build.kernels.libraries import MACHINES, NOTE, are_others, libraries, missing, write_note
from contracts.manifest import Manifest, kernels_of, sealed_files
from contracts.tasks import Task, Tier

SEALED = Manifest(
    model="tiny",
    task=Task.TEXT_CLASSIFICATION,
    tier=Tier.CPU,
    precision="int8",
    recipe="int8",
    max_tokens=8,
    toolchain={},
)


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
    assert missing(tmp_path) == "they are not compiled: run `make kernels`"


def test_an_artefact_is_of_other_sources_where_its_libraries_differ(
    compiled: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """One without libraries, or where none are compiled, is not."""
    names = [kernels_of(machine) for machine in MACHINES]
    sealed = replace(SEALED, files=sealed_files(compiled, names))
    assert missing(compiled) == ""
    assert not are_others(sealed, compiled)
    assert not are_others(SEALED, compiled)
    (compiled / names[1]).write_text("changed", "utf-8")
    other = replace(SEALED, files=sealed_files(compiled, names))
    assert not are_others(other, compiled)  # what is there is damaged, and says nothing
    write_note(compiled)
    assert are_others(sealed, compiled)
    assert not are_others(other, compiled)
    assert not are_others(sealed, tmp_path_factory.mktemp("none"))


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
    with pytest.raises(BuildError, match=f"{path.name} is not what was compiled") as caught:
        libraries(compiled)
    # make would find nothing to do.
    assert f"remove {compiled}, then run `make kernels`" in str(caught.value)
