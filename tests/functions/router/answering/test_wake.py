"""Ten minutes in which the GPU tier wakes, under steady traffic: no error, and no more calls than wake it."""

import time
from collections import Counter
from contextlib import ExitStack

import pytest

from contracts.tasks import Tier
from tests.functions.router.answering.deployment import CPU, GPU, WAKE_S, deploy
from tests.functions.router.answering.scripted import ANSWERS, ASLEEP

pytestmark = pytest.mark.slow

EVERY_S = 10
# Of one answer; each takes milliseconds, and seconds on a busy machine.
LONGEST_S = 10


@pytest.mark.parametrize("asked", ["all for the gpu", "half of them"])
def test_through_a_wake_of_ten_minutes_each_request_is_answered_and_one_a_minute_wakes(
    stack: ExitStack, asked: str
) -> None:
    both = deploy(stack, (ANSWERS,), (ASLEEP,))
    both.ask(tier=CPU)
    both.counts()
    given: Counter[tuple[Tier, str, bool]] = Counter()
    calls: list[float] = []
    begin = time.monotonic()
    for at_s in range(0, WAKE_S, EVERY_S):
        # However long the answers before took on this machine.
        both.clock.ahead = begin + at_s - time.monotonic()
        wanted = GPU if asked.startswith("all") or at_s % (2 * EVERY_S) else None
        start = time.monotonic()
        answer = both.ask(tier=wanted)
        # Nothing waits for the tier: the clock of the test stands still meanwhile.
        assert time.monotonic() - start < LONGEST_S
        reason = "gpu_waking" if wanted else "fits_cpu"
        given[answer.target.tier, answer.reason, answer.degraded] += 1
        assert (answer.target.tier, answer.reason) == (CPU, reason)
        # Its refusal is the only thing that is sent beside the answer.
        cpu, gpu = both.counts()
        assert (cpu, gpu) in ((1, 0), (1, 1))
        calls += [at_s] * gpu
    requests = WAKE_S // EVERY_S
    pinned = requests if asked.startswith("all") else requests // 2
    assert given.total() == requests
    assert given[CPU, "gpu_waking", True] == pinned
    assert all(later - earlier >= 60 for earlier, later in zip(calls, calls[1:], strict=False))
    assert WAKE_S / 120 < len(calls) <= WAKE_S / 60
    both.gpu.steps = [ANSWERS]
    both.clock.ahead += EVERY_S + 60
    answers = [both.ask(tier=GPU) for _ in range(3)]
    assert {(one.target.tier, one.reason, one.degraded) for one in answers} == {
        (GPU, "pinned", False)
    }
