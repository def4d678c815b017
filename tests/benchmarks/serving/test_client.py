"""The callers of a load: when a request is due, and from when its latency counts."""

import itertools
import time
from collections.abc import Callable

import pytest

from benchmarks.serving.client import due_times, run

TAKES_S = 0.05


def slow() -> Callable[[], bool]:
    def send() -> bool:
        time.sleep(TAKES_S)
        return True

    return send


def test_a_request_that_waits_for_its_turn_is_late_from_when_it_was_due() -> None:
    due = [0.001, 0.002, 0.003]
    seen = run(1, iter(due), until=60.0, make=slow)
    waited = [TAKES_S * (place + 1) - at for place, at in enumerate(due)]
    assert [ms / 1e3 >= least for ms, least in zip(seen.ms, waited, strict=True)] == [True] * 3


def test_a_caller_of_a_closed_loop_waits_for_no_one_but_its_own_answer() -> None:
    asked = itertools.count()

    def make() -> Callable[[], bool]:
        return lambda: next(asked) != 1

    # After ten requests none is due any more.
    seen = run(2, itertools.repeat(0.0, 10), until=60.0, make=make)
    assert (len(seen.ms), seen.failed) == (10, 1)


def test_a_request_after_the_end_is_not_sent() -> None:
    seen = run(2, iter([0.0, 120.0]), until=60.0, make=slow)
    assert len(seen.ms) == 1


@pytest.mark.parametrize("seed", range(3))
def test_requests_of_an_open_loop_are_due_at_random_at_their_rate(seed: int) -> None:
    due = due_times(rate=50.0, seconds=100.0, seed=seed)
    assert due == sorted(due)
    # Of 5,000 the standard deviation is 71.
    assert abs(len(due) - 5_000) < 500
    gaps = [after - before for before, after in itertools.pairwise(due)]
    # Of an exponential distribution 63 % are shorter than the mean.
    assert abs(sum(gap < 0.02 for gap in gaps) / len(gaps) - 0.632) < 0.05
