"""The steps of CONTRIBUTING.md, followed to the letter in a copy of the packages."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.fixtures.paths import ROOT

TEXT = (ROOT / "CONTRIBUTING.md").read_text("utf-8")
PACKAGES = ("build", "contracts", "functions")


def section(title: str) -> str:
    """Return one section of the page."""
    found = re.search(rf"^## {title}\n(.*?)(?=^## |\Z)", TEXT, re.MULTILINE | re.DOTALL)
    assert found, f"CONTRIBUTING.md has no section {title}"
    return found[1]


def follow(title: str, copy: Path) -> None:
    """Apply a section's diffs to a copy of the packages, and write its new files there."""
    for package in PACKAGES:
        shutil.copytree(
            ROOT / package, copy / package, ignore=shutil.ignore_patterns("__pycache__")
        )
    steps = section(title)
    for path, text in re.findall(r"```python (\S+)\n(.*?)```", steps, re.DOTALL):
        (copy / path).write_text(text, "utf-8")
    for diff in re.findall(r"```diff\n(.*?)```", steps, re.DOTALL):
        # Editors strip the space of an empty context line.
        patch = re.sub(r"^$", " ", diff.removesuffix("\n"), flags=re.MULTILINE) + "\n"
        subprocess.run(
            ["git", "apply", "--recount", "-"], cwd=copy, input=patch, text=True, check=True
        )


def run(code: str, copy: Path) -> str:
    """Return the output of code that imports the copy."""
    done = subprocess.run(
        [sys.executable, "-P", "-c", code],
        cwd=copy,
        env={"PYTHONPATH": str(copy), "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


DECIDE = """
from contracts.prediction import PredictRequest
from contracts.routes import Route, Target
from contracts.tasks import Task, Tier
from functions.router.deciding.decision import decide
from functions.router.deciding.rules import Case
targets = {
    tier: Target(model="m", tier=tier, address=tier, max_inputs=64, max_chars=1000, timeout_s=1,
        version="v", precision="p", max_tokens=8)
    for tier in Tier
}
route = Route(model="m", task=Task.TEXT_CLASSIFICATION, targets=targets, labels=("a", "b"))
for count in (15, 16):
    request = PredictRequest(inputs=("x",) * count)
    print(decide(Case(request=request, route=route, states={}, now=0.0)).primary.tier)
"""


def test_a_rule_is_added_in_one_file_and_decides(tmp_path: Path) -> None:
    follow("Add a routing rule", tmp_path)
    assert run(DECIDE, tmp_path).split() == ["cpu", "gpu"]


PLACES = re.findall(
    r"`([\w./-]+)`(?: \(([^)]+)\))?",
    "".join(re.findall(r"^\|[^|]+\|(.+)\|$", section("Where things are"), re.MULTILINE)),
)


@pytest.mark.parametrize(("path", "symbols"), PLACES)
def test_the_table_of_places_names_files_and_what_they_define(path: str, symbols: str) -> None:
    text = (ROOT / path).read_text("utf-8")
    for symbol in re.findall(r"`(\w+)`", symbols):
        definition = rf"^\s*(?:(?:async )?def |class ){symbol}\b|^{symbol}\b[^=\n]*="
        assert re.search(definition, text, re.MULTILINE), f"{path} does not define {symbol}"


def test_the_table_of_places_has_a_row_for_each_package() -> None:
    packages = {path.split("/")[0] for path, _ in PLACES}
    assert packages == {
        "benchmarks",
        "build",
        "contracts",
        "functions",
        "images",
        "local",
        "reference",
        "scripts",
        "signatures",
        "stacks",
        "tests",
        "turnout",
    }


@pytest.mark.parametrize(
    "path", re.findall(r"`((?:build|functions|contracts|tests|docs)/[\w./]+)`", TEXT)
)
def test_every_place_that_is_named_exists(path: str) -> None:
    assert (ROOT / path).exists()
