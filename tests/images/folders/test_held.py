"""One process at a time holds a folder; others wait, and go on when it has ended, however it ends."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from images.folders.held import held
from tests.fixtures.paths import ROOT

HOLDING = """
import sys
sys.path.insert(0, sys.argv[1])
from pathlib import Path
from images.folders.held import held
with held(Path(sys.argv[2])):
    print("held", flush=True)
    sys.stdin.read()
"""


@contextmanager
def holder(folder: Path) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-c", HOLDING, str(ROOT), str(folder)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen(command, text=True, **pipes) as process:  # type: ignore[call-overload]
        assert process.stdout
        assert process.stdout.readline() == "held\n"
        yield process


@pytest.mark.parametrize("end", ["it ends", "it is killed"])
def test_a_folder_that_is_held_is_waited_for(tmp_path: Path, end: str) -> None:
    with holder(tmp_path / "new") as other:
        waited = []

        def waiting() -> None:
            waited.append(other.poll())
            if end == "it is killed":
                other.kill()
            elif other.stdin:
                other.stdin.close()

        with held(tmp_path / "new", waiting):
            assert waited == [None]
            other.wait(10)
    with held(tmp_path / "new", waiting):
        assert len(waited) == 1
    assert list((tmp_path / "new").iterdir()) == []
