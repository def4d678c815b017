"""The layers of an image are merged as a container sees them, and paths are followed through links."""

import tarfile
from pathlib import Path

import pytest

from images.oci.filesystem import Filesystem, merged
from images.oci.reading import read_layout
from tests.images.layouts import SETTINGS, archive, entry, small

FOLDER, LINK = tarfile.DIRTYPE, tarfile.SYMTYPE


def link(name: str, target: str) -> tarfile.TarInfo:
    found = entry(name, LINK, 0o777)
    found.linkname = target
    return found


def image(folder: Path, *layers: tuple[tarfile.TarInfo, ...]) -> Filesystem:
    """Return the file system of a small image with more layers on it."""
    more = (archive(folder / "work", *members) for members in layers)
    return merged(read_layout(small(folder, SETTINGS, *more)))


LINKS = (
    entry("opt", FOLDER, 0o755),
    link("opt/absolute", "/usr/bin"),
    link("opt/relative", "../usr/bin"),
    link("opt/above", "../../../../usr/bin/./python3"),
    link("opt/gone", "nowhere"),
    link("opt/one", "two"),
    link("opt/two", "one"),
)


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("/usr/bin/python3.11", True),
        ("/usr/bin/python3", True),
        ("/bin/python3", True),
        ("//usr/./bin/../bin/python3", True),
        ("/opt/absolute/python3", True),
        ("/opt/relative/python3", True),
        ("/opt/above", True),
        ("/opt/gone", False),
        ("/opt/one", False),
        ("/usr/bin/python3.11/below", False),
        ("/var/task/python3", False),
    ],
)
def test_a_path_is_followed_through_links(tmp_path: Path, path: str, found: bool) -> None:
    member = image(tmp_path, LINKS).find(path)
    assert (member.name if member else None) == ("usr/bin/python3.11" if found else None)


def test_a_file_in_place_of_a_folder_takes_its_contents_away(tmp_path: Path) -> None:
    files = image(tmp_path, (entry("usr", FOLDER, 0o755), entry("usr/bin")))
    assert [path for path in files.members if path.startswith("usr")] == ["usr", "usr/bin"]


def test_a_folder_that_is_written_again_keeps_its_contents_and_takes_the_mode(
    tmp_path: Path,
) -> None:
    files = image(tmp_path, (entry("usr", FOLDER, 0o755), entry("usr/bin", FOLDER, 0o700)))
    assert files.members["usr/bin"].mode == 0o700
    assert "usr/bin/python3.11" in files.members


def test_what_is_removed_and_written_in_one_layer_is_there(tmp_path: Path) -> None:
    """A whiteout removes what lower layers have, wherever it stands in its archive."""
    folders = (entry("usr", FOLDER, 0o755), entry("usr/bin", FOLDER, 0o755))
    files = image(tmp_path, (*folders, entry("usr/bin/new"), entry("usr/bin/.wh..wh..opq")))
    assert [path for path in files.members if path.startswith("usr/bin/")] == ["usr/bin/new"]


def test_a_whole_image_can_be_removed(tmp_path: Path) -> None:
    files = image(tmp_path, (entry(".wh..wh..opq"), entry("new")))
    assert list(files.members) == ["new"]
