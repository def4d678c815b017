"""Half-made files and folders are hidden, and go with their process, however that ends."""

import errno
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from images.blob import new_blob, write_atomically
from images.folders.half_made import PREFIX, half_made, half_path
from tests.fixtures.paths import ROOT

KILLED = """
import os, signal, sys
sys.path.insert(0, sys.argv[1])
from pathlib import Path
from images.blob import new_blob
from images.folders.half_made import half_made
with half_made(Path(sys.argv[2])) as half, new_blob(Path(sys.argv[2])) as blob:
    (half / "root").mkdir()
    (half / "root/link").symlink_to("/")
    blob.write(b"half")
    os.kill(os.getpid(), signal.SIGKILL)
"""


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_folder_is_there_for_the_block_alone(tmp_path: Path) -> None:
    def fail() -> None:
        with half_made(tmp_path / "new") as half:
            assert names(tmp_path / "new") == [half.name]
            (half / "file").touch()
            raise ValueError("mine")

    with pytest.raises(ValueError, match="mine"):
        fail()
    assert names(tmp_path / "new") == []


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="Linux has a folder for each process")
def test_what_a_killed_process_left_goes_with_the_next_use_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "kept").touch()
    command = [sys.executable, "-c", KILLED, str(ROOT), str(tmp_path)]
    assert subprocess.run(command, check=False).returncode == -signal.SIGKILL
    left = names(tmp_path)
    assert [name.startswith(PREFIX) for name in left] == [True, True, False]
    with half_made(tmp_path) as own:
        assert names(tmp_path) == [own.name, "kept"]
        write_atomically(tmp_path / "text", "whole")
        with new_blob(tmp_path) as blob:
            # Of a process that runs, nothing is removed.
            assert half_path(tmp_path) != half_path(tmp_path)
            assert own.is_dir()
            blob.write(b"whole")
    assert names(tmp_path) == sorted([blob.digest.removeprefix("sha256:"), "kept", "text"])


def test_an_error_of_a_disk_that_names_no_file_names_the_folder(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="No space") as caught, half_made(tmp_path):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    assert caught.value.filename == str(tmp_path)
    with pytest.raises(FileNotFoundError) as other, half_made(tmp_path) as half:
        (half / "none").read_bytes()
    assert str(other.value.filename).endswith("/none")
    with pytest.raises(ConnectionResetError) as last, half_made(tmp_path):
        raise ConnectionResetError(errno.ECONNRESET, os.strerror(errno.ECONNRESET))
    assert last.value.filename is None
