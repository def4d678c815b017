"""Runs are timed after a pause and in turns, on threads that are bound or not."""

import os
import time
from pathlib import Path

import pytest

from benchmarks.inference.pauses import FURTHER, TOKENS, measure, opened
from functions.inference.session import available_processors, processors_of
from tests.fixtures.models.tiny import artefact


def test_each_engine_has_its_turn_after_a_pause() -> None:
    done: list[str] = []

    def engine(name: str) -> object:
        return lambda tokens: done.append(name)

    engines = {name: engine(name) for name in "ab"}
    rows = measure(engines, [8], rounds=2, pause=lambda: done.append("-"))  # type: ignore[arg-type]
    assert "".join(done) == "".join(f"-{name * (1 + FURTHER)}" for name in "abba")
    (row,) = rows
    assert list(row) == [
        "tokens",
        *(f"{name}: {which}, ms" for name in "ab" for which in ("first", "further")),
    ]
    assert row["tokens"] == 8


@pytest.mark.skipif(
    not processors_of(2, available_processors()), reason="it takes two or three processors"
)
def test_threads_that_are_not_bound_may_run_anywhere(tmp_path: Path) -> None:
    folder, everywhere = artefact(tmp_path / "cpu"), set(available_processors())
    before = _threads()
    free = opened(folder, 2, bound=False)
    assert all(os.sched_getaffinity(each) == everywhere for each in _threads() - before)
    before = _threads()
    bound = opened(folder, 2)
    (thread,) = _threads() - before
    for _ in range(100):  # a thread binds itself once it runs
        if os.sched_getaffinity(thread) != everywhere:
            break
        time.sleep(0.1)
    assert os.sched_getaffinity(thread) == {available_processors()[1]}
    assert os.sched_getaffinity(0) == everywhere
    for run in (free, bound):
        run(TOKENS[0])


def _threads() -> set[int]:
    return {int(name) for name in os.listdir("/proc/self/task")}
