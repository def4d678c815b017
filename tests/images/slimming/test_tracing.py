"""The kernel names each file that any process opens below a folder."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from images.slimming.tracing import opened_below


@pytest.mark.skipif(os.geteuid() != 0, reason="fanotify takes root")
def test_files_that_other_processes_open_are_found_and_those_that_they_only_look_at_are_not(
    tmp_path: Path,
) -> None:
    for name in ("read", "stat", "before", "in/deep"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    shutil.copy("/bin/true", tmp_path / "program")
    (tmp_path / "before").read_bytes()
    with opened_below(tmp_path) as opened:
        code = "import os; open('read').read(); os.stat('stat'); os.open('in/deep', os.O_RDONLY)"
        subprocess.run([sys.executable, "-S", "-c", code], cwd=tmp_path, check=True)
        # In mounts of its own, as a function is started: by the kernel, and no process opens the program itself.
        subprocess.run(["unshare", "--mount", tmp_path / "program"], check=True)
    assert opened.paths == {"read", "in/deep", "program"}
