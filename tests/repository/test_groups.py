"""The rules of `tests/conftest.py`, applied to a suite of a few tests."""

import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from tests.fixtures.paths import ROOT

GROUPS = ("fast", "slow", "build", "system", "foreign", "exhaustive")
# Of this process's environment, without what chooses tests, and without plugins, which take as long as these suites.
PLAIN = {k: v for k, v in os.environ.items() if k not in ("TURNOUT_SEED", "TURNOUT_PROVE")}
PLAIN["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
SUITE = """
import pytest

@pytest.mark.parametrize("n", range(20))
@pytest.mark.exhaustive(keep=3)
@pytest.mark.build
def test_many(n): pass

def test_small(): pass

@pytest.mark.system
def test_large(): pass
"""

SMALL = """
def test_small(): pass
"""
# Of each test of a suite, among them the one that waits for ever.
HANGS_S = 5

RECORDED = """
import os
import time

import pytest

@pytest.mark.parametrize("n", range(4))
def test_many(n):
    time.sleep(0.05)
    with open("{name}.workers", "a") as file:
        print(os.environ["PYTEST_XDIST_WORKER"], file=file)
"""


def output(suite: Path, *words: str, **environment: str) -> str:
    """Return what a run prints that only collects its tests."""
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "--collect-only", "-q", *words],
        cwd=suite,
        env={**PLAIN, **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout + done.stderr


def collected(suite: Path, *words: str, **environment: str) -> list[str]:
    """Return the tests that a run would have, in its order."""
    text = output(suite, *words, **environment)
    return re.findall(r"^test_suite.py::(\S+)", text, re.MULTILINE)


def by_make(
    suite: Path, *words: str, plugins: str = "xdist.plugin"
) -> subprocess.CompletedProcess[str]:
    """Run a suite with the flags that make gives pytest."""
    line = re.search(r"^PYTEST := \S+ -m pytest (.+)$", (ROOT / "Makefile").read_text(), re.M)
    assert line
    flags = line[1].replace("$(WORKERS)", "2").split()
    (suite / "pyproject.toml").write_text("[tool.pytest.ini_options]\n", "utf-8")
    return subprocess.run(
        [sys.executable, "-m", "pytest", *flags, *words],
        cwd=suite,
        # In a place of its own for temporary files it has none of earlier runs to remove, which takes long.
        env={**PLAIN, "PYTEST_PLUGINS": plugins, "PYTEST_DEBUG_TEMPROOT": str(suite)},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture(scope="module")
def suite(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("suite")
    shutil.copyfile(ROOT / "tests/conftest.py", folder / "conftest.py")
    (folder / "test_suite.py").write_text(SUITE, "utf-8")
    marks = "\n".join(
        f'  "{mark}",' for mark in ("fast", "slow", "build", "system", "foreign", "exhaustive")
    )
    (folder / "pyproject.toml").write_text(
        f"[tool.pytest.ini_options]\nmarkers = [\n{marks}\n]\n", "utf-8"
    )
    return folder


@pytest.mark.slow
def test_heavy_tests_come_first_and_the_seed_chooses_a_part_of_the_exhaustive(suite: Path) -> None:
    first, second = (collected(suite, TURNOUT_SEED=seed) for seed in ("1", "2"))
    assert [name.split("[")[0] for name in first] == [
        "test_large",
        *["test_many"] * 3,
        "test_small",
    ]
    assert first == collected(suite, TURNOUT_SEED="1")
    assert first != second


def test_everything_runs_where_all_is_to_be_proven(suite: Path) -> None:
    assert len(collected(suite, TURNOUT_PROVE="1")) == 22


def test_a_test_without_a_mark_is_fast(suite: Path) -> None:
    assert collected(suite, "-m", "fast") == ["test_small"]


@pytest.mark.slow
def test_a_test_with_two_groups_is_refused(suite: Path, tmp_path: Path) -> None:
    shutil.copytree(suite, tmp_path, dirs_exist_ok=True)
    marked = SUITE.replace("@pytest.mark.system", "@pytest.mark.system\n@pytest.mark.build")
    (tmp_path / "test_suite.py").write_text(marked, "utf-8")
    assert "test_large belongs to system and build; mark it once" in output(tmp_path)


@pytest.mark.slow
def test_the_tests_of_a_module_share_a_process_when_they_are_run_by_make(tmp_path: Path) -> None:
    for name in ("one", "two", "three"):
        (tmp_path / f"test_{name}.py").write_text(RECORDED.format(name=name), "utf-8")
    done = by_make(tmp_path)
    assert not done.returncode, done.stdout
    seen = [path.read_text("utf-8").splitlines() for path in sorted(tmp_path.glob("*.workers"))]
    assert [len(lines) for lines in seen] == [4, 4, 4]
    assert [len(set(lines)) for lines in seen] == [1, 1, 1]
    assert {worker for lines in seen for worker in lines} == {"gw0", "gw1"}


HANGS = """
import socket

def test_first(): pass

def test_waits_for_ever():
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.accept()

def test_last(): pass
"""


@pytest.mark.slow
def test_a_test_that_hangs_fails_once_and_all_others_run(tmp_path: Path) -> None:
    for name in ("one", "two", "three"):
        (tmp_path / f"test_{name}.py").write_text(HANGS if name == "one" else SMALL, "utf-8")
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["pytest"]
    kept = {name: settings["ini_options"][name] for name in ("timeout", "timeout_method")}
    assert kept.pop("timeout") > 0
    options = [f"-otimeout={HANGS_S}", *(f"-o{name}={value}" for name, value in kept.items())]
    done = by_make(tmp_path, *options, plugins="xdist.plugin,pytest_timeout")
    assert "1 failed, 4 passed" in done.stdout
    assert "FAILED test_one.py::test_waits_for_ever - Failed: Timeout" in done.stdout


@pytest.mark.slow
def test_a_run_of_one_group_does_not_read_the_modules_of_others(
    suite: Path, tmp_path: Path
) -> None:
    shutil.copytree(suite, tmp_path, dirs_exist_ok=True)
    heavy = tmp_path / "tests/stacks"
    heavy.mkdir(parents=True)
    (heavy / "conftest.py").write_text("raise ImportError\n", "utf-8")
    (heavy / "test_heavy.py").touch()
    built = tmp_path / "test_built.py"
    built.write_text("pytestmark = pytest.mark.build\nraise ImportError\n", "utf-8")
    assert collected(tmp_path, "-m", "fast") == ["test_small"]
    assert collected(tmp_path, "-m", "foreign") == []
    assert "test_built.py" in output(tmp_path, "-m", "system or build")
    built.unlink()
    (tmp_path / "torch.py").touch()
    (tmp_path / "test_light.py").write_text("import torch\n\ndef test_light(): pass\n", "utf-8")
    assert "a module of the fast or slow tests imports torch" in output(tmp_path, "-m", "fast")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("import pytest\n\n@pytest.mark.fast\n", "is fast in a folder of system; move it"),
        ("from marks import built\n\n@built\n", "is marked build elsewhere; mark it in its module"),
    ],
    ids=["fast", "elsewhere"],
)
def test_a_test_that_a_run_of_its_group_would_leave_out_is_refused(
    suite: Path, tmp_path: Path, text: str, problem: str
) -> None:
    shutil.copytree(suite, tmp_path, dirs_exist_ok=True)
    (tmp_path / "marks.py").write_text("import pytest\n\nbuilt = pytest.mark.build\n", "utf-8")
    (heavy := tmp_path / "tests/stacks").mkdir(parents=True)
    (heavy / "test_heavy.py").write_text(f"{text}def test_lost(): pass\n", "utf-8")
    assert f"test_lost {problem}" in output(tmp_path)


def test_the_longest_modules_are_there_and_begin_before_all_others(
    suite: Path, tmp_path: Path
) -> None:
    conftest = (ROOT / "tests/conftest.py").read_text("utf-8")
    (longest,) = re.findall(r"^LONGEST = \((.*?)^\)", conftest, re.DOTALL | re.MULTILINE)
    names = re.findall(r'"(\S+)"', longest)
    assert names
    assert [name for name in names if not (ROOT / name).is_file()] == []
    shutil.copytree(suite, tmp_path, dirs_exist_ok=True)
    for name in ("tests/build/test_alone.py", names[-1], names[0]):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("def test_one(): pass\n", "utf-8")
    # By default pytest does not look into `build`.
    text = output(tmp_path, "tests", "-o", "norecursedirs=.*")
    found = re.findall(r"^(tests/\S+)::", text, re.MULTILINE)
    assert found == [names[0], names[-1], "tests/build/test_alone.py"]
