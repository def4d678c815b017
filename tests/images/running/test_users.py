"""The kernel isolates functions for users without rights, says where it does not, and ends them with their parent."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from images.oci.reading import Layout
from images.running.process import started_by
from tests.fixtures.paths import ROOT
from tests.images.running.functions import check_isolated, gone

pytestmark = pytest.mark.build

root_only = pytest.mark.skipif(os.geteuid() != 0, reason="only root can forbid it")


STARTED = """
import json, sys, time
sys.path.insert(0, sys.argv[1])
from pathlib import Path
from images.running.copy import Copy
from images.running.kernel import Kernel
from tests.images.running.functions import does_as_told, event
root, rie = map(Path, sys.argv[2:4])
config = sys.argv[4]
Copy(Kernel(root=root, emulator=rie, limited=False), does_as_told(json.loads(config))).invoke(event())
print("started", flush=True)
time.sleep(600)
"""


def test_a_function_ends_with_a_parent_that_was_killed(
    root: Path, rie: Path, layout: Layout
) -> None:
    command = [
        sys.executable,
        "-c",
        STARTED,
        *map(str, (ROOT, root, rie, json.dumps(layout.config))),
    ]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        assert process.stdout.readline() == "started\n"
        all_of_it = started_by(process.pid)
        # What waits for the namespace, the emulator, the function.
        assert len(all_of_it) == 3
        process.kill()
        process.wait()
        assert gone(all_of_it)


AS_A_USER = """
import json, sys
sys.path.insert(0, sys.argv[1])
from pathlib import Path
from images.running.blocks import mapped_by
from images.running.copy import Copy
from images.isolation.kernel import kernel_problem
from images.running.kernel import Kernel, limits_problem
from images.running.process import started_by
from tests.images.running.functions import FOLDERS, check_isolated, document, does_as_told, event, gone, post
root, rie = map(Path, sys.argv[2:4])
config = sys.argv[4]
problem = kernel_problem(root)
function = does_as_told(json.loads(config))
copy = Copy(Kernel(root=root, emulator=rie, limited=False), function)
try:
    seen = json.loads(copy.invoke(event(paths=FOLDERS)).body)
    mapped = mapped_by(started_by(copy.pid))
finally:
    copy.end()
unlimited = limits_problem(function.limits)
print(json.dumps({"problem": problem, "unlimited": unlimited, "seen": seen, "mapped": list(mapped)}))
"""


def test_a_user_without_rights_runs_a_function_in_a_user_namespace(
    root: Path, rie: Path, layout: Layout
) -> None:
    """Where root runs the tests, it gives up its rights first; it stays the owner of its files."""
    # As in the image, but the namespace is one that this user made.
    drop = ["unshare", "--user", "--map-user=1234", "--map-group=1234"] if os.geteuid() == 0 else []
    command = [sys.executable, "-c", AS_A_USER, ROOT, root, rie, json.dumps(layout.config)]
    done = subprocess.run([*drop, *map(str, command)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["problem"] == ""
    assert "cgroup" in found["unlimited"]
    check_isolated(found["seen"])
    # This user sees which pages its function has mapped of the interpreter.
    assert (root / "usr/bin/python3.13").stat().st_ino in found["mapped"]
