"""The folder that a build works in: gone however it ends, and a full disk is reported as one."""

import errno
import os
import shutil
from pathlib import Path

import pytest

from build.errors import SourceError
from build.workspace.publish import publish, work_folder
from contracts.problems import Code
from tests.fixtures.problems import raises

FULL = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "model.onnx")


def ended_by(error: Exception, out: Path) -> None:
    """Run a build that has written something when the error is raised."""
    with work_folder(out) as folder:
        (folder / "half").write_text("half of a file", "utf-8")
        raise error


@pytest.mark.parametrize(
    "error",
    [
        FULL,
        shutil.Error([("a", "b", str(FULL))]),
        RuntimeError("PytorchStreamWriter failed writing file: No space left on device"),
    ],
    ids=["by the system", "by a copy", "by a library"],
)
def test_a_full_disk_is_reported_as_one_and_nothing_is_left_on_it(
    tmp_path: Path, error: Exception
) -> None:
    with raises("disk_full", tmp_path.resolve(), "`--out`"):
        ended_by(error, tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "error", [ValueError("no number"), SourceError.about("model", Code.FILE_DAMAGED, "no space")]
)
def test_any_other_error_stays_what_it_is(tmp_path: Path, error: Exception) -> None:
    with pytest.raises(type(error)) as found:
        ended_by(error, tmp_path)
    assert found.value is error
    assert list(tmp_path.iterdir()) == []


def test_what_was_published_comes_back_where_its_place_cannot_be_taken(tmp_path: Path) -> None:
    target = tmp_path / "model/cpu"
    target.mkdir(parents=True)
    (target / "old").touch()
    with work_folder(tmp_path) as folder, pytest.raises(FileNotFoundError):
        publish(folder / "never-made", target)
    assert [path.name for path in target.iterdir()] == ["old"]
