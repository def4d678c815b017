"""Groups limit a function by the files of either version of control groups."""

from pathlib import Path

import pytest

from images.isolation.limits import Limits
from images.running.cgroups import make_groups

LIMITS = Limits(memory_mb=885)


def read(folder: Path) -> dict[str, str]:
    return {path.name: path.read_text("ascii") for path in folder.iterdir()}


def test_groups_of_version_2_get_their_controllers_from_the_one_above(tmp_path: Path) -> None:
    (tmp_path / "cgroup.controllers").write_text("cpuset cpu io memory pids", "ascii")
    groups = make_groups("turnout-1", LIMITS, tmp_path)
    assert (tmp_path / "cgroup.subtree_control").read_text("ascii") == "+cpu +memory +pids"
    assert groups.procs == (str(tmp_path / "turnout-1/cgroup.procs"),)
    assert read(tmp_path / "turnout-1") == {
        "memory.max": str(885 * 2**20),
        "memory.swap.max": "0",
        "cpu.max": "50028 100000",
        "pids.max": "1024",
    }


def test_groups_of_version_1_lie_below_this_process_in_each_hierarchy(tmp_path: Path) -> None:
    # Version 2 is mounted as well, and has none of the controllers.
    (tmp_path / "cgroup.controllers").write_text("hugetlb", "ascii")
    (tmp_path / "own").write_text("4:memory:/service/a\n2:cpu,cpuacct:/\n8:pids:/gone\n", "ascii")
    for name in ("memory/service/a", "cpu", "pids"):
        (tmp_path / name).mkdir(parents=True)
    groups = make_groups("turnout-1", LIMITS, tmp_path, tmp_path / "own")
    memory, cpu, pids = (
        tmp_path / name / "turnout-1" for name in ("memory/service/a", "cpu", "pids")
    )
    assert groups.folders == (memory, cpu, pids)
    assert read(memory) == {"memory.limit_in_bytes": str(885 * 2**20)}
    assert read(cpu) == {"cpu.cfs_period_us": "100000", "cpu.cfs_quota_us": "50028"}
    assert read(pids) == {"pids.max": "1024"}


def test_a_hierarchy_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "own").write_text("4:memory:/\n2:cpu:/\n", "ascii")
    (tmp_path / "memory").mkdir()
    (tmp_path / "cpu").write_text("no folder", "ascii")
    with pytest.raises(OSError, match=f"{tmp_path}/cpu/turnout-1"):
        make_groups("turnout-1", LIMITS, tmp_path, tmp_path / "own")
