"""ONNX Runtime: its threads have processors of their own; texts are padded further where layers leave padding out."""

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from build.kernels.libraries import copy_libraries
from contracts.manifest import kernels_in, read_manifest
from contracts.prediction import PredictRequest
from functions.inference.batching.division import COSTS
from functions.inference.encoder import Encoder
from functions.inference.runtimes.onnx_runtime import PADDED
from functions.inference.session import available_processors, processors_of
from tests.fixtures.models.tiny import artefact

# 3 to 16 tokens; the padding of them all costs more than a pass, and a tenth of it less.
TEXTS = tuple("lovely " * count for count in (1, 1, 5, 9, 14))

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
print(sorted(sorted(os.sched_getaffinity(int(each))) for each in more))

import numpy as np
feeds = {each.name: np.ones((1, 3), np.int64) for each in session.get_inputs()}
found, masks = set(), set()
for _ in range(20):
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})  # the other thread's
    os.sched_setaffinity(0, session.available)
    session.run(None, feeds)
    found.add(int(Path("/proc/self/stat").read_text().rsplit(")", 1)[1].split()[36]))
    masks.add(tuple(sorted(os.sched_getaffinity(0))))
print(min(found), masks)
"""


def opened(folder: Path) -> Encoder:
    manifest, kernels = read_manifest(folder), kernels_in(folder)
    return Encoder.open(folder, manifest, threads=1, device="cpu", kernels=kernels)


def runs(encoder: Encoder) -> tuple[list[int], list[Any]]:
    """Return how many texts each forward pass had, and the answers."""
    sizes: list[int] = []

    def counted(feeds: Mapping[str, Any]) -> Any:
        sizes.append(len(feeds["input_ids"]))
        return encoder.forward(feeds)

    outputs = replace(encoder, forward=counted).outputs(PredictRequest(inputs=TEXTS))
    return sizes, outputs


@pytest.mark.foreign
def test_texts_are_padded_further_where_layers_leave_padding_out(tmp_path: Path) -> None:
    folder = artefact(tmp_path / "cpu")
    plain = opened(folder)
    copy_libraries(folder)
    with_kernels = opened(folder)
    assert plain.costs == COSTS
    assert with_kernels.costs == replace(COSTS, padded=PADDED)
    many, expected = runs(plain)
    one, found = runs(with_kernels)
    assert len(many) > 1
    assert one == [len(TEXTS)]
    assert found == expected


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
def test_a_session_binds_its_thread_to_the_second_processor_and_moves_the_caller_to_the_first(
    tmp_path: Path,
) -> None:
    first, second = available_processors()[:2]
    model = artefact(tmp_path / "cpu") / "model.onnx"
    command = [sys.executable, "-c", AFFINITIES, str(model), f"{first},{second}"]
    run = subprocess.run(command, capture_output=True, text=True, check=True, cwd=os.getcwd())
    # The system may move the caller on, which may run anywhere, but hardly so often.
    assert run.stdout.splitlines() == [f"[[{second}]]", f"{first} {{({first}, {second})}}"]
    assert not run.stderr
