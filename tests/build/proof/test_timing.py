"""Candidates are timed in processes of their own, copies of one that has imported what runs them."""

import os
import shutil
import signal
from pathlib import Path

import pytest

from build.proof.timing import (
    FAR,
    LONG_MS,
    REPEATS,
    ROUNDS,
    Timing,
    far_slower,
    percentile,
    repeats,
    time_all,
    timing_of,
)
from build.proof.worker_client import Workers
from build.stages.choosing import disturbance
from contracts.prediction import PredictRequest
from tests.fixtures.models.tiny import artefact
from tests.fixtures.problems import assert_names, raises
from tests.fixtures.processes import descendants, ended

REQUEST = PredictRequest(inputs=("lovely",))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return artefact(tmp_path_factory.mktemp("artefact") / "cpu")


@pytest.mark.parametrize("apart", [False, True])
def test_every_artefact_is_timed_at_each_length(folder: Path, apart: bool) -> None:
    requests = {3: REQUEST, 7: PredictRequest(inputs=("lovely " * 5,))}
    lines: list[str] = []
    found = time_all(
        [folder, folder], requests, 1, lines.append, rivals=[folder], unranked=[7], apart=apart
    )
    assert [list(timing.ms) for timing in found] == [[3, 7], [3, 7]]
    for timing in found:
        assert min(timing.ms.values()) > 0
        assert timing.load_ms > 0
        assert timing.peak_mb > 30  # an interpreter with ONNX Runtime in it
    assert len(lines) <= ROUNDS + 1


def test_a_request_is_repeated_in_a_round_if_it_was_short_in_the_one_before() -> None:
    assert repeats([]) == 1  # the first round warms caches
    assert repeats([[LONG_MS * 2], [LONG_MS * 2, LONG_MS / 2]]) == REPEATS > 1
    assert repeats([[LONG_MS / 2], [LONG_MS * 2]]) == 1


def test_an_artefact_is_far_slower_than_two_that_are_faster_at_every_length_in_every_round() -> (
    None
):
    # The first round does not count, nor does a length that is not asked for.
    # Of a round, the least disturbed run does.
    fast = {8: [[9.0], [1.0, 9.0], [9.0, 1.2]], 32: [[9.0], [2.0], [1.8]], 128: [[99.0]] * 3}
    slow = {
        8: [[0.1], [FAR * 1.3], [FAR * 1.4, 9.0]],
        32: [[0.1], [FAR * 2.1], [FAR * 2.2]],
        128: [[1.0]] * 3,
    }
    assert far_slower(slow, [fast, fast], [8, 32])
    assert far_slower(slow, [fast, slow, fast], [8, 32])
    assert not far_slower(slow, [slow, fast], [8, 32])  # which may be rejected yet
    assert not far_slower(slow, [fast, fast], [8, 32, 128])
    assert not far_slower(
        {**slow, 8: [[0.1], [FAR * 1.1, 9.0], [FAR * 1.4]]}, [fast, fast], [8, 32]
    )
    assert not far_slower(fast, [slow, fast, fast], [8, 32])
    assert not far_slower(slow, [], [8, 32])


def test_a_time_is_that_of_the_runs_which_other_programs_did_not_delay() -> None:
    assert percentile([2.0, 2.1]) == pytest.approx(2.02)
    quiet = [2.0, 2.02, 2.04, 2.06, 2.08] * 3
    delayed = [*quiet[:5], *(ms * 3 for ms in quiet[5:])]
    assert percentile(delayed) == pytest.approx(percentile(quiet), rel=0.03)


def test_times_are_those_of_one_unit_and_say_how_much_longer_other_runs_took() -> None:
    short, long = [[9.0], [0.2, 0.2, 9.0]], [[9.0], [4.0, 4.0, 4.0], [4.0, 8.0, 8.0], [8.0, 8.0]]
    found = timing_of({3: short, 7: long}, {3: 1, 7: 2}, 1.26, 30.04)
    # What takes less than a millisecond does not tell of other programs.
    assert found == Timing(ms={3: 0.2, 7: 2.0}, load_ms=1.3, peak_mb=30.0, slowdown=1.5)
    assert timing_of({3: short}, {3: 1}, 1.0, 1.0).slowdown == 1.0


@pytest.mark.parametrize(("slowdowns", "busy"), [([1.1, 1.2, 9.0], False), ([1.1, 1.9, 2.5], True)])
def test_a_build_on_a_busy_machine_says_so(slowdowns: list[float], busy: bool) -> None:
    timings = [Timing(ms={8: 2.0}, load_ms=1.0, peak_mb=1.0, slowdown=each) for each in slowdowns]
    notes = disturbance(timings, "sst2/cpu")
    assert len(notes) == busy
    for note in notes:
        assert_names(note, ("1.9 times", "remove the built folder sst2/cpu", "idle"))


def test_each_artefact_has_a_process_which_ends_with_the_others(folder: Path) -> None:
    with Workers() as workers:
        for name in ("one", "other"):
            copy = shutil.copytree(folder, folder.parent / name)
            assert workers.load(copy, threads=1) > 0
            assert workers.run(copy, REQUEST, repeats=2)["units"] == 1
        processes = descendants(workers.process.pid)
        assert len(processes) == 2
    assert ended(processes, wait_s=0)


def test_artefacts_that_are_kept_apart_are_never_in_memory_together(folder: Path) -> None:
    with Workers() as workers:
        for name in ("first", "second", "third"):
            copy = shutil.copytree(folder, folder.parent / name)
            workers.end_all()
            workers.load(copy, threads=1)
            assert workers.run(copy, REQUEST, repeats=1)["units"] == 1
            assert len(descendants(workers.process.pid)) == 1


def test_an_artefact_that_cannot_be_loaded_or_run_is_named(folder: Path, tmp_path: Path) -> None:
    broken = shutil.copytree(folder, tmp_path / "broken")
    (broken / "model.onnx").write_bytes(b"")
    with Workers() as workers, raises("build_failed", "broken cannot be run", "ended with 1 ("):
        workers.load(broken, threads=1)
    with Workers() as workers:
        workers.load(folder, threads=1)
        (process,) = descendants(workers.process.pid)
        os.kill(process, signal.SIGKILL)
        with raises("build_failed", "cpu cannot be run", "ended with -9"):
            workers.run(folder, REQUEST, repeats=1)
