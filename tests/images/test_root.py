"""Layers are unpacked one over the other, and nothing of them is written outside of the folder."""

import io
import os
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from images.errors import ImageError
from images.layer import Entry, Layer, write_layer
from images.root import root_of, unpack_layers


def member(
    name: str, kind: bytes = tarfile.REGTYPE, link: str = "", mode: int = 0o644
) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname, info.mode = kind, link, mode
    return info


def foreign(folder: Path, *members: tarfile.TarInfo) -> Layer:
    """Write an archive as another tool might, with a byte in each file."""
    folder.mkdir(exist_ok=True)
    blob = folder / f"{len(list(folder.iterdir()))}.tar.gz"
    with tarfile.open(blob, "w:gz") as archive:
        for info in members:
            info.size = 1 if info.isreg() else 0
            archive.addfile(info, io.BytesIO(b"1"))
    return Layer(blob=blob, digest=f"sha256:{blob.name}", diff_id="", size=blob.stat().st_size)


def files(root: Path) -> set[str]:
    return {path.relative_to(root).as_posix() for path in root.rglob("*") if not path.is_dir()}


def test_a_layer_comes_out_as_it_went_in(tmp_path: Path) -> None:
    entries = (
        Entry(path="bin", link="usr/bin"),
        Entry(path="usr/bin/run", source=b"#!/bin/sh\n", executable=True),
        Entry(path="usr/data", source=b"data"),
        Entry(path="tmp"),
    )
    root = root_of([write_layer(entries, tmp_path / "blobs")], tmp_path)
    assert files(root) == {"usr/bin/run", "usr/data"}
    assert os.readlink(root / "bin") == "usr/bin"
    assert (root / "usr/data").read_bytes() == b"data"
    assert os.access(root / "usr/bin/run", os.X_OK)
    assert not os.access(root / "usr/data", os.X_OK)
    assert (root / "tmp").is_dir()
    assert list((tmp_path / "roots").iterdir()) == [root]


def test_an_upper_layer_replaces_and_removes(tmp_path: Path) -> None:
    lower = foreign(
        tmp_path / "blobs",
        *(member(name) for name in ("a/one", "a/two", "b/one", "c", "./d/e")),
    )
    upper = foreign(
        tmp_path / "blobs",
        member("a/.wh.one"),
        member("b/.wh..wh..opq"),
        member("b/two"),
        member("c", tarfile.DIRTYPE),
        member("c/now"),
        member("d", tarfile.SYMTYPE, "a"),
        member("hard", tarfile.LNKTYPE, "a/two"),
        member("null", tarfile.CHRTYPE),
    )
    unpack_layers([lower, upper], tmp_path / "root")
    assert files(tmp_path / "root") == {"a/two", "b/two", "c/now", "hard"}
    assert os.readlink(tmp_path / "root/d") == "a"
    assert (tmp_path / "root/hard").samefile(tmp_path / "root/a/two")


@pytest.mark.parametrize(
    "members",
    [
        lambda out: [member("../evil")],
        lambda out: [member("a/../../evil")],
        lambda out: [member("way", tarfile.SYMTYPE, str(out)), member("way/evil")],
        lambda out: [member("way", tarfile.SYMTYPE, ".."), member("way/evil")],
        lambda out: [member("evil", tarfile.LNKTYPE, "../outside")],
        lambda out: [member("../.wh.outside")],
        lambda out: [
            member("way", tarfile.SYMTYPE, ".."),
            member("evil", tarfile.LNKTYPE, "way/outside"),
        ],
        lambda out: [member(".wh...")],
        lambda out: [member("a/.wh...")],
        lambda out: [member("a/.wh..")],
        lambda out: [member(".wh.")],
        lambda out: [member("./")],
    ],
    ids=[
        "up",
        "up from within",
        "through a link",
        "through a relative link",
        "hard link",
        "whiteout",
        "hard link through a link",
        "whiteout of the folder above",
        "whiteout of the folder above another",
        "whiteout of its own folder",
        "whiteout of nothing",
        "file in place of the root",
    ],
)
def test_an_entry_that_leads_out_is_refused(
    tmp_path: Path, members: Callable[[Path], list[tarfile.TarInfo]]
) -> None:
    (tmp_path / "outside").write_text("mine", "utf-8")
    layer = foreign(tmp_path / "blobs", *members(tmp_path))
    with pytest.raises(ImageError) as caught:
        unpack_layers([layer], tmp_path / "root")
    assert [problem.code for problem in caught.value.problems] == ["file_outside"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["blobs", "outside", "root"]
    assert (tmp_path / "outside").read_text("utf-8") == "mine"


@pytest.mark.parametrize(
    "members",
    [
        [member("link", tarfile.LNKTYPE, "none")],
        [member("link", tarfile.LNKTYPE, "/etc/passwd")],
        [member("folder", tarfile.DIRTYPE), member("link", tarfile.LNKTYPE, "folder")],
        [member("a", tarfile.SYMTYPE, "b"), member("b", tarfile.SYMTYPE, "a"), member("a/evil")],
    ],
    ids=["of nothing", "of a file of this machine", "of a folder", "behind a circle"],
)
def test_a_link_that_cannot_be_made_is_named_with_its_layer(
    tmp_path: Path, members: list[tarfile.TarInfo]
) -> None:
    layer = foreign(tmp_path / "blobs", *members)
    with pytest.raises(ImageError) as caught:
        root_of([layer], tmp_path)
    assert [problem.code for problem in caught.value.problems] == ["file_damaged"]
    assert "link" in str(caught.value)
    assert str(layer.blob) in str(caught.value)
    assert list((tmp_path / "roots").iterdir()) == []


def test_an_entry_for_the_root_itself_changes_nothing(tmp_path: Path) -> None:
    entries = [member(name, tarfile.DIRTYPE, mode=0o700) for name in (".", "./", "/")]
    layer = foreign(tmp_path / "blobs", *entries, member("./a/one"))
    assert files(root_of([layer], tmp_path)) == {"a/one"}


def test_an_absolute_path_is_one_in_the_image(tmp_path: Path) -> None:
    unpack_layers([foreign(tmp_path / "blobs", member("/etc/evil"))], tmp_path / "root")
    assert files(tmp_path / "root") == {"etc/evil"}


@pytest.mark.parametrize("length", [0, 20, -20])
def test_a_damaged_archive_is_named_and_leaves_no_root(tmp_path: Path, length: int) -> None:
    layer = foreign(tmp_path / "blobs", *(member(f"file-{number}") for number in range(99)))
    layer.blob.write_bytes(layer.blob.read_bytes()[:length])
    with pytest.raises(ImageError) as caught:
        root_of([layer], tmp_path)
    assert caught.value.problems[0].code == "file_damaged"
    assert list((tmp_path / "roots").iterdir()) == []
