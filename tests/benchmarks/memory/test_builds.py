"""The memory of a build is that of its processes, by the stages that it prints, without the pages of files."""

import mmap
import os
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.memory.builds import Peaks, held_mb, stage_of, tree

MB = 1 << 20


@pytest.mark.parametrize(
    ("line", "stage"),
    [
        ("  0% random cpu: waiting\n", "waiting"),
        (" 50% random cpu: making candidates: int8: row 20 of 30\n", "making candidates: int8"),
        (" 67% random cpu: timing candidates: round 1 of 6\n", "timing candidates"),
        (" 83% a cpu: choosing: 3 of 60 rows under qemu\n", "choosing: under qemu"),
        ("error[memory_short]: nothing of a build\n", ""),
    ],
)
def test_a_line_names_the_stage_without_the_row_at_work(line: str, stage: str) -> None:
    assert stage_of(line) == stage


def test_the_most_of_each_stage_is_kept_and_of_all() -> None:
    peaks = Peaks()
    for stage, held in (("one", 3.0), ("two", 8.0), ("two", 5.0), ("one", 4.0)):
        peaks.see(stage, held)
    assert (peaks.held, peaks.stages) == (8.0, {"one": 4, "two": 8})


def test_a_child_of_a_child_belongs_to_the_tree() -> None:
    inner = "import sys; print('here', flush=True); sys.stdin.read()"
    outer = f"import subprocess, sys; subprocess.run([sys.executable, '-S', '-c', {inner!r}])"
    with subprocess.Popen(
        [sys.executable, "-S", "-c", outer], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout
        assert process.stdout.readline() == b"here\n"
        found = tree(process.pid)
        assert found[0] == process.pid
        assert len(found) == 2
        assert process.pid in tree(os.getpid())
        process.communicate()
    assert held_mb(process.pid) == 0


def test_pages_of_a_file_do_not_count_as_held(tmp_path: Path) -> None:
    path = tmp_path / "weights"
    path.write_bytes(b"1" * 64 * MB)
    before = held_mb(os.getpid())
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
        assert sum(mapped[:: mmap.PAGESIZE]) == 64 * MB // mmap.PAGESIZE * ord("1")
        assert held_mb(os.getpid()) - before < 16
    held = bytearray(b"1") * (64 * MB)
    assert held_mb(os.getpid()) - before > 56
    del held
