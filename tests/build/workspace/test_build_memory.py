"""The memory that a build may take is that of the machine, or less where a control group has a limit."""

from pathlib import Path

import pytest

from build.workspace.build_memory import group_limits


def put(place: Path, text: str) -> None:
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_text(text, "ascii")


@pytest.mark.parametrize(
    ("groups", "files", "limits"),
    [
        ("0::/user/one\n", {"user/one/memory.max": "4096\n", "user/memory.max": "max\n"}, [4096]),
        (
            "0::/user/one\n",
            {"user/one/memory.max": "max", "user/memory.max": "8192", "memory.max": "9"},
            [8192, 9],
        ),
        # Of version 1, where a container's group has its name on the host and is mounted as the root.
        (
            "5:cpu:/docker/ab\n4:memory,hugetlb:/docker/ab\n0::/\n",
            {"memory/memory.limit_in_bytes": "100", "cpu/memory.limit_in_bytes": "1"},
            [100],
        ),
        ("4:memory:/\n", {}, []),
    ],
    ids=["its own", "those around it", "a container", "none"],
)
def test_the_limits_of_a_process_are_those_of_its_groups(
    tmp_path: Path, groups: str, files: dict[str, str], limits: list[int]
) -> None:
    mounted, process = tmp_path / "cgroup", tmp_path / "of-a-process"
    put(process, groups)
    for name, text in files.items():
        put(mounted / name, text)
    assert group_limits(process, mounted) == limits


def test_a_system_without_groups_has_no_limit(tmp_path: Path) -> None:
    assert group_limits(tmp_path / "none", tmp_path) == []
