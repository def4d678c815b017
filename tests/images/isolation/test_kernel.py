"""The kernel runs a program in the files of an image, or says why it cannot."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from images.isolation.kernel import Program, isolated, kernel_problem
from tests.fixtures.paths import ROOT

pytestmark = pytest.mark.build

root_only = pytest.mark.skipif(os.geteuid() != 0, reason="root alone may forbid namespaces")

SEES = """
import json, os
print(json.dumps([os.getuid(), os.getgid(), os.getpid(), os.getcwd(), sorted(os.environ)]))
raise SystemExit(7)
"""


def test_a_program_has_the_images_files_its_own_environment_and_lambdas_user(root: Path) -> None:
    assert kernel_problem(root) == ""
    program = Program(
        command=("/usr/bin/python3.13", "-c", SEES),
        environment={"OWN": "1", "LANG": "C.UTF-8"},
        folder="/var/task",
    )
    done = subprocess.run(isolated(root, program), capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (7, "")
    assert json.loads(done.stdout) == [993, 990, 1, "/var/task", ["LANG", "OWN"]]


def test_a_program_that_the_image_has_not_is_named(root: Path) -> None:
    said = kernel_problem(root, Program(command=("/usr/bin/none",)))
    assert "No such file or directory: '/usr/bin/none'" in said


def test_an_image_whose_mount_points_are_links_is_refused(tmp_path: Path) -> None:
    (tmp_path / "root").mkdir()
    (tmp_path / "root/tmp").symlink_to("/etc")
    assert "/tmp of the image is no folder" in kernel_problem(tmp_path / "root")


FORBIDDEN = """
import sys
from pathlib import Path
Path("/proc/sys/user/max_mnt_namespaces").write_text("0")
from images.isolation.kernel import kernel_problem
print(kernel_problem(Path(sys.argv[1])))
"""


@root_only
def test_a_user_who_may_make_no_namespace_is_told_so(root: Path) -> None:
    """A namespace of users in which no other may be made stands in for a system that forbids them."""
    apart = ["unshare", "--user", "--map-root-user", "--mount-proc", "--pid", "--fork"]
    done = subprocess.run(
        [*apart, sys.executable, "-c", FORBIDDEN, str(root)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "the kernel does not isolate a process for this user (unshare" in done.stdout
