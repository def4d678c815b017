"""Threads of a run have processors of their own, where there are hardly more processors than threads."""

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from functions.inference.runtimes.threads import available_processors, processors_of
from tests.fixtures.models.tiny import artefact

AFFINITIES = """
import os, sys, time
from pathlib import Path
os.sched_setaffinity(0, {int(each) for each in sys.argv[2].split(",")})
from functions.inference.session import open_session
before = set(os.listdir("/proc/self/task"))
session = open_session(Path(sys.argv[1]), threads=2, device="cpu")
more = set(os.listdir("/proc/self/task")) - before
for _ in range(100):  # a thread binds itself once it runs
    if {len(os.sched_getaffinity(int(each))) for each in more} == {1}:
        break
    time.sleep(0.1)
print(sorted(sorted(os.sched_getaffinity(int(each))) for each in [*more, os.getpid()]))
"""


@pytest.mark.parametrize(
    ("threads", "available", "expected"),
    [
        (1, [0, 1], []),
        (2, [0, 1], [1]),
        (2, [4, 6, 7], [6]),
        (2, [0, 1, 2, 3], []),
        (4, [0, 1, 2, 3], [1, 2, 3]),
        (6, [0, 1, 2, 3], []),
        (2, [], []),
    ],
)
def test_all_threads_but_the_one_that_asks_have_a_processor_each_where_few_are_left(
    threads: int, available: Sequence[int], expected: Sequence[int]
) -> None:
    assert list(processors_of(threads, available)) == expected


@pytest.mark.skipif(len(available_processors()) < 2, reason="it takes two processors")
def test_a_session_binds_its_thread_to_the_second_processor_and_leaves_the_caller(
    tmp_path: Path,
) -> None:
    first, second = available_processors()[:2]
    model = artefact(tmp_path / "cpu") / "model.onnx"
    command = [sys.executable, "-c", AFFINITIES, str(model), f"{first},{second}"]
    run = subprocess.run(command, capture_output=True, text=True, check=True, cwd=os.getcwd())
    assert run.stdout.strip() == str(sorted([[first, second], [second]]))
    assert not run.stderr
