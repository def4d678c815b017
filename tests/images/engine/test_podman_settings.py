"""Podman gets settings of ours where its own keep containers from starting, and nowhere else."""

import resource
import subprocess
import sys
import tomllib
from dataclasses import replace
from pathlib import Path

import pytest

from images.engine.podman_settings import Limits, advice, environment, limits_here, settings

FREE = Limits(
    root=True,
    may_raise=True,
    open_files=20_000,
    processes=32_768,
    hybrid_cgroups=False,
    runc=False,
)
BOUND = replace(FREE, may_raise=False)


def test_root_that_cannot_raise_limits_gets_those_of_the_machine() -> None:
    document = tomllib.loads(settings(BOUND))
    limits = ["nofile=20000:20000", "nproc=32768:32768"]
    assert document == {"containers": {"default_ulimits": limits}}


def test_hybrid_cgroups_get_runc_where_it_is_installed() -> None:
    hybrid = replace(FREE, hybrid_cgroups=True)
    assert settings(hybrid) == ""
    document = tomllib.loads(settings(replace(hybrid, runc=True)))
    assert document == {"engine": {"runtime": "runc"}}
    assert len(tomllib.loads(settings(replace(BOUND, hybrid_cgroups=True, runc=True)))) == 2


@pytest.mark.parametrize("limits", [FREE, replace(BOUND, root=False)], ids=["free", "rootless"])
def test_other_machines_get_none(limits: Limits, tmp_path: Path) -> None:
    assert environment(tmp_path, {}, limits, tmp_path / "none") == {}
    assert list(tmp_path.iterdir()) == []
    assert advice(limits) == ""


def test_the_file_is_named_in_the_environment(tmp_path: Path) -> None:
    (name,) = environment(tmp_path / "engine", {}, BOUND, tmp_path / "none").values()
    assert Path(name).read_text("utf-8") == settings(BOUND)
    assert settings(BOUND) in advice(BOUND)


def test_a_file_of_the_users_or_the_systems_is_left_to_count(tmp_path: Path) -> None:
    theirs = tmp_path / "containers.conf"
    theirs.touch()
    folder = tmp_path / "engine"
    assert environment(folder, {}, BOUND, theirs) == {}
    assert environment(folder, {"CONTAINERS_CONF": str(theirs)}, BOUND, tmp_path / "none") == {}
    assert not folder.exists()


def test_the_facts_of_this_machine_are_those_that_the_kernel_enforces() -> None:
    limits = limits_here()
    assert limits.open_files == resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    code = (
        "import resource as r; limit = r.getrlimit(r.RLIMIT_NOFILE)[1]; "
        "r.setrlimit(r.RLIMIT_NOFILE, (limit, limit + 1))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=False)
    assert limits.may_raise == (done.returncode == 0)
