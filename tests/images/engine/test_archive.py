"""The archive that an engine is given: the layers and config of an image, and what is for SAM alone above them."""

import gzip
import hashlib
import io
import json
import tarfile
from pathlib import Path

import pytest

from images.engine.archive import archive_of, load
from images.engine.engine import Engine
from images.engine.errors import EngineFailed
from images.engine.shell import lacking, shell_entries
from images.layer import Entry, write_layer
from images.oci.filesystem import file_of, merged
from images.oci.reading import read_layout
from tests.images.engine.programs import program
from tests.images.layouts import SETTINGS, small

ABOVE = (Entry(path="var/task/handler.py", source=b"another"),)


def test_an_archive_has_every_layer_and_a_config_that_names_them(tmp_path: Path) -> None:
    layout = read_layout(small(tmp_path))
    above = write_layer(ABOVE, tmp_path / "above")
    stream = io.BytesIO()
    archive = archive_of(layout, "small:sam", [("for SAM alone", above)])
    archive.write(stream)
    with tarfile.open(fileobj=io.BytesIO(stream.getvalue())) as tar:
        files = {name: (tar.extractfile(name) or io.BytesIO()).read() for name in tar.getnames()}
    (manifest,) = json.loads(files["manifest.json"])
    assert manifest["RepoTags"] == ["small:sam"]
    config = json.loads(files[manifest["Config"]])
    unpacked = [gzip.decompress(files[name]) for name in manifest["Layers"]]
    named = [f"sha256:{hashlib.sha256(data).hexdigest()}" for data in unpacked]
    assert config["rootfs"]["diff_ids"] == named
    assert len(named) == 3
    assert config["config"] == layout.config["config"]
    assert config["history"][-1] == {"created_by": "for SAM alone"}


def test_an_image_that_the_engine_has_is_known_by_its_config(tmp_path: Path) -> None:
    archive = archive_of(read_layout(small(tmp_path)), "small:sam")
    digest = hashlib.sha256(archive.config).hexdigest()

    def has(said: str) -> bool:
        return archive.is_loaded(Engine(program=str(program(tmp_path, "docker", said))))

    assert has(f"echo sha256:{digest}")
    assert has(f"echo {digest}")
    assert not has(f"echo sha256:{'0' * 64}")
    assert not has("echo 'no such image' >&2; exit 1")


def test_an_engine_that_names_the_image_otherwise_is_an_error(tmp_path: Path) -> None:
    archive = archive_of(read_layout(small(tmp_path)), "small:sam")
    script = "[ $1 = load ] && exec cat > /dev/null; exit 1"
    with pytest.raises(EngineFailed, match="has none named small:sam"):
        load(Engine(program=str(program(tmp_path, "docker", script))), archive)


def test_a_file_of_an_image_is_that_of_the_uppermost_layer(tmp_path: Path) -> None:
    layout = read_layout(small(tmp_path))
    assert file_of(layout, "var/task/handler.py") == b"def handler(): ..."
    assert file_of(layout, "var/task") is None
    upper = write_layer(ABOVE, tmp_path / "above")
    changed = read_layout(small(tmp_path / "second", SETTINGS, upper))
    assert file_of(changed, "var/task/handler.py") == b"another"


def test_an_image_with_a_shell_gets_nothing(tmp_path: Path) -> None:
    tools = [Entry(path=f"usr/bin/{name}", source=b"\x7fELF") for name in ("sh", "mv", "chmod")]
    layout = read_layout(small(tmp_path, SETTINGS, write_layer(tools, tmp_path / "tools")))
    assert lacking(merged(layout)) == ()
    # Nothing is downloaded either: there is no such lock.
    assert shell_entries(merged(layout), tmp_path, tmp_path / "none.json") == []


def test_programs_that_are_there_are_not_replaced(tmp_path: Path) -> None:
    shell = write_layer([Entry(path="usr/bin/sh", source=b"\x7fELF")], tmp_path / "shell")
    assert lacking(merged(read_layout(small(tmp_path)))) == ("sh", "mv", "chmod")
    layout = read_layout(small(tmp_path / "second", SETTINGS, shell))
    assert lacking(merged(layout)) == ("mv", "chmod")
