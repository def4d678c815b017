"""A build stops where our code has a fault in tokenizing, running or post-processing: in a copy of the tree with it.

The control of each is the tree without the fault, which passes the check on the same model and rows.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.build.reading.mutants.code import FAULTS, SUBJECTS
from tests.build.reading.mutants.conftest import RecordFault
from tests.build.reading.mutants.recorded import tried
from tests.build.reading.read_source import Read, read
from tests.fixtures.paths import ROOT

_, TRIED = tried()
PACKAGES = ("build", "contracts", "functions", "reference", "tests")
# Folders of files that no proof reads.
UNREAD = ("__pycache__", "saved_folders")


@dataclass(frozen=True, slots=True, kw_only=True)
class Copy:
    """A copy of the packages, in which the proofs of several models run; `made` are these, by their subject."""

    tree: Path
    place: Path
    made: dict[str, Read] = field(default_factory=dict)

    def proved(self, name: str, *, export: bool) -> str:
        """Return the code that a build of the copy stops with, "" where it goes on.

        The copy exports the model itself, or takes the graphs that are there.
        """
        found, prepared = self.made[name], self.place / name / "prepared"
        place = Path(tempfile.mkdtemp(dir=self.place))
        order = {
            "subject": name,
            "folder": str(found.step.source.path),
            "reference": asdict(found.reference),
            "prepared": "" if export else str(prepared),
            "place": str(place),
        }
        path = place / "order.json"
        path.write_text(json.dumps(order), "utf-8")
        done = subprocess.run(
            [sys.executable, "-m", "tests.build.reading.mutants.run", str(path)],
            cwd=self.tree,
            env={**os.environ, "PYTHONPATH": str(self.tree)},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        answer: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
        assert answer["tree"] == str(self.tree)
        return str(answer["outcome"])

    def prepare(self, name: str) -> None:
        """Make a subject's model and its reference, once; without a fault, the copy passes the check on them."""
        if name not in self.made:
            (self.place / name).mkdir()
            subject = SUBJECTS[name]
            self.made[name] = read(self.place / name, subject.make, subject.task, subject.rows)
            assert self.proved(name, export=False) == ""


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Copy:
    tree = tmp_path_factory.mktemp("tree")
    for name in PACKAGES:
        shutil.copytree(ROOT / name, tree / name, ignore=shutil.ignore_patterns(*UNREAD))
    return Copy(tree=tree, place=tmp_path_factory.mktemp("place"))


def test_faults_are_of_every_task_whose_reading_is_checked() -> None:
    from build.reading.comparison import COMPARISONS
    from contracts.tasks import Task

    tasks = {SUBJECTS[fault.shown_by].task for fault in FAULTS.values()}
    assert tasks == {*COMPARISONS, Task.TEXT_RANKING}
    assert {fault.shown_by for fault in FAULTS.values()} == SUBJECTS.keys()


def test_the_code_of_each_fault_is_there_once() -> None:
    found = {n: (ROOT / f.file).read_text("utf-8").count(f.text) for n, f in FAULTS.items()}
    assert found == dict.fromkeys(FAULTS, 1)


@pytest.mark.exhaustive(keep=1)
@pytest.mark.parametrize("name", TRIED)
def test_a_build_stops_where_the_code_has_a_fault(
    copy: Copy, record: RecordFault, name: str
) -> None:
    fault = FAULTS[name]
    copy.prepare(fault.shown_by)
    with fault.within(copy.tree):
        # Faults of serving are on the graphs that are there; those of building need graphs of their own.
        code = copy.proved(fault.shown_by, export=fault.file.startswith("build/"))
    record(mutant=name, edited=fault.file, shown_by=fault.shown_by, stopped_by=code)
    assert code
