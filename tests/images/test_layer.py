"""Layers have the same bytes wherever they are made, and refuse what would not stay in its place."""

import gzip
import os
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from images.errors import ImageError
from images.layer import Entry, Layer, write_layer
from tests.fixtures.paths import ROOT

LONG = "ein/" + "ü" * 120 + ".txt"
ENTRIES = (
    Entry(path="var/task/run", source=b"#!/bin/sh\n", executable=True),
    Entry(path="var/task/model/a.onnx", source=b"weights" * 1000),
    Entry(path="var/task/latest", link="model/a.onnx"),
    Entry(path="opt"),
    Entry(path=LONG, source=b""),
)


def members(layer: Layer) -> dict[str, tarfile.TarInfo]:
    with tarfile.open(layer.blob) as archive:
        return {member.name: member for member in archive}


def refused(entries: tuple[Entry, ...], folder: Path) -> list[tuple[str, str]]:
    """Return where and why entries are refused, after checking that nothing was written."""
    with pytest.raises(ImageError) as caught:
        write_layer(entries, folder)
    assert not folder.exists() or list(folder.iterdir()) == []
    return [(problem.where, problem.message) for problem in caught.value.problems]


def test_a_layer_has_its_entries_in_order_with_their_folders_and_nothing_of_this_machine(
    tmp_path: Path,
) -> None:
    layer = write_layer(ENTRIES, tmp_path)
    found = members(layer)
    assert list(found) == [
        *("ein", LONG, "opt", "var", "var/task", "var/task/latest", "var/task/model"),
        *("var/task/model/a.onnx", "var/task/run"),
    ]
    assert {(m.uid, m.gid, m.uname, m.gname, m.mtime) for m in found.values()} == {
        (0, 0, "", "", 0)
    }
    assert {name: oct(m.mode) for name, m in found.items() if m.isreg()} == {
        LONG: "0o644",
        "var/task/model/a.onnx": "0o644",
        "var/task/run": "0o755",
    }
    assert {m.mode for m in found.values() if m.isdir()} == {0o755}
    assert found["var/task/latest"].linkname == "model/a.onnx"
    with tarfile.open(layer.blob) as archive:
        content = archive.extractfile("var/task/model/a.onnx")
        assert content
        assert content.read() == b"weights" * 1000


def test_a_layer_is_named_by_the_digests_of_its_own_bytes(tmp_path: Path) -> None:
    layer = write_layer(ENTRIES, tmp_path)
    (blob,) = tmp_path.iterdir()
    assert blob == layer.blob
    assert f"sha256:{blob.name}" == layer.digest == file_sha256(blob.read_bytes())
    assert layer.diff_id == file_sha256(gzip.decompress(blob.read_bytes()))
    assert layer.size == blob.stat().st_size


def file_sha256(data: bytes) -> str:
    # The system's own program, so that no mistake is shared.
    done = subprocess.run(["sha256sum"], input=data, capture_output=True, check=True)
    return f"sha256:{done.stdout.decode().split()[0]}"


def test_the_archive_is_the_one_that_gnu_tar_reads_and_unpacks(tmp_path: Path) -> None:
    layer = write_layer(ENTRIES, tmp_path / "blobs")
    (unpacked := tmp_path / "unpacked").mkdir()
    done = subprocess.run(
        ["tar", "--extract", "--gzip", "--file", layer.blob],
        cwd=unpacked,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stderr == ""
    assert (unpacked / "var/task/latest").read_bytes() == b"weights" * 1000
    assert os.access(unpacked / "var/task/run", os.X_OK)
    assert (unpacked / LONG).read_bytes() == b""


def test_only_names_that_need_it_have_pax_records(tmp_path: Path) -> None:
    short = write_layer(ENTRIES[:-1], tmp_path)
    assert b"PaxHeader" not in gzip.decompress(short.blob.read_bytes())
    long = write_layer(ENTRIES, tmp_path)
    assert gzip.decompress(long.blob.read_bytes()).count(b"PaxHeader") == 1


# The archive of ENTRIES: the same on every machine, with every release of Python.
DIFF_ID = "sha256:ee5f97cfbacb55722620232b35ff0b9eeb573c1ab03c6b636eb42d2baff1ab53"
ELSEWHERE = """
import os, sys, time
from pathlib import Path
os.umask(0o077)
sys.path.insert(0, sys.argv[1])
from images.layer import Entry, write_layer
sources = Path(sys.argv[2])
for path in sources.iterdir():
    os.utime(path, (1, 1))
    path.chmod(0o700)
entries = [Entry(path=path.name, source=path) for path in sorted(sources.iterdir(), reverse=True)]
layer = write_layer(entries, Path(sys.argv[3]))
print(layer.diff_id, layer.digest)
"""


def test_the_archive_of_known_entries_has_a_known_digest(tmp_path: Path) -> None:
    assert write_layer(ENTRIES, tmp_path).diff_id == DIFF_ID
    assert write_layer(reversed(ENTRIES), tmp_path).diff_id == DIFF_ID


def test_another_umask_folder_time_and_mode_change_no_byte(tmp_path: Path) -> None:
    sources = tmp_path / "sources"
    sources.mkdir()
    for name in ("a", "b"):
        (sources / name).write_text(name, "utf-8")
    here = write_layer([Entry(path=p.name, source=p) for p in sources.iterdir()], tmp_path / "here")
    command = [
        sys.executable,
        "-c",
        ELSEWHERE,
        str(ROOT),
        str(sources),
        str(tmp_path / "elsewhere"),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.split() == [here.diff_id, here.digest]


@pytest.mark.parametrize(
    "path",
    ["/etc/passwd", "../x", "a/../../x", "a/./b", "a//b", "a/", "", ".", "..", "a\0b", "a/\udcff"],
)
def test_a_path_that_is_not_plainly_within_the_image_is_refused(path: str, tmp_path: Path) -> None:
    (problem,) = refused((Entry(path=path, source=b""),), tmp_path / "blobs")
    assert problem[0] == repr(path)


def test_all_entries_that_a_layer_cannot_have_are_named_at_once(tmp_path: Path) -> None:
    (tmp_path / "loop").symlink_to("loop")
    os.mkfifo(tmp_path / "pipe")
    entries = (
        Entry(path="lib", link="usr/lib"),
        Entry(path="lib/python/x.py", source=b""),
        Entry(path="file", source=b""),
        Entry(path="file/below", source=b""),
        Entry(path="twice", source=b"1"),
        Entry(path="twice", source=b"2"),
        Entry(path="a/.wh.b", source=b""),
        Entry(path="both", source=b"", link="x"),
        Entry(path="loop", source=tmp_path / "loop"),
        Entry(path="folder", source=tmp_path),
        Entry(path="pipe", source=tmp_path / "pipe"),
        Entry(path="gone", source=tmp_path / "gone"),
        Entry(path="good", source=b""),
    )
    found = refused(entries, tmp_path / "blobs")
    assert sorted(where.strip("'") for where, _ in found) == [
        *("a/.wh.b", "both", "file/below", "folder", "gone", "lib/python/x.py", "loop", "pipe"),
        "twice",
    ]
    assert dict(found)["'lib/python/x.py'"] == "lies in lib, which is a link; rename one of them"
    assert dict(found)["'twice'"] == "is given 2 times; leave out all but one"


def test_a_file_that_grows_while_it_is_read_is_refused(tmp_path: Path) -> None:
    """Files of /proc say that they are empty, as a file does that is written to after it was measured."""
    (problem,) = refused((Entry(path="x", source=Path("/proc/self/status")),), tmp_path / "blobs")
    assert "was changed while it was read" in problem[1]


FULL = """
import resource, sys
sys.path.insert(0, sys.argv[1])
from pathlib import Path
from images.layer import Entry, write_layer
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
write_layer([Entry(path="x", source=__import__("os").urandom(2_000_000))], Path(sys.argv[2]))
"""


def test_a_disk_that_takes_no_more_bytes_leaves_nothing_behind(tmp_path: Path) -> None:
    """The kernel's limit on a file's size ends a write in the middle, as a full disk does."""
    command = [sys.executable, "-c", FULL, str(ROOT), str(tmp_path / "blobs")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    place = str(tmp_path / "blobs")
    assert done.stderr.splitlines()[-1] == f"OSError: [Errno 27] File too large: {place!r}"
    assert list((tmp_path / "blobs").iterdir()) == []


def test_everybody_may_write_to_tmp_alone(tmp_path: Path) -> None:
    found = members(write_layer([Entry(path="tmp"), Entry(path="var/tmp")], tmp_path))
    assert {name: oct(m.mode) for name, m in found.items()} == {
        "tmp": "0o1777",
        "var": "0o755",
        "var/tmp": "0o755",
    }
