"""Names and folders that tools like to misread."""

import subprocess
import sys
from pathlib import Path

import pytest

import build
from scripts.figures import CODE, crowded, without_verb
from tests.fixtures.paths import ROOT


def test_the_build_package_is_ours() -> None:
    assert build.__file__ == str(ROOT / "build/__init__.py")


def test_no_source_file_is_ignored_by_git() -> None:
    packages = (
        "build",
        "contracts",
        "functions",
        "images",
        "local",
        "signatures",
        "stacks",
        "tests",
        "turnout",
    )
    sources = [str(p.relative_to(ROOT)) for name in packages for p in (ROOT / name).rglob("*.py")]
    ignored = subprocess.run(
        ["git", "check-ignore", "--no-index", "--stdin"],
        cwd=ROOT,
        input="\n".join(sources),
        capture_output=True,
        text=True,
        check=False,
    )
    assert ignored.stdout == ""


def test_no_module_is_longer_than_300_lines() -> None:
    tracked = subprocess.run(
        ["git", "ls-files", "*.py"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.split()
    lengths = {name: len((ROOT / name).read_text("utf-8").splitlines()) for name in tracked}
    assert {name: n for name, n in lengths.items() if n > 300} == {}


@pytest.mark.slow
def test_the_imports_obey_the_design() -> None:
    tool = Path(sys.executable).with_name("lint-imports")
    done = subprocess.run(
        [tool, "--no-cache"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout


@pytest.mark.slow
def test_no_docstring_begins_with_what_whether_or_how() -> None:
    assert without_verb(ROOT, *CODE, "tests") == []


def test_no_folder_has_more_than_15_modules() -> None:
    assert crowded(ROOT) == {}
