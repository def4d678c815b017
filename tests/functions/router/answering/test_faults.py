"""Every pair of faults of the two tiers: each request is answered within its deadline."""

import time
from contextlib import ExitStack

import pytest

from contracts.tasks import Tier
from tests.functions.router.answering.deployment import CPU, GPU, deploy, told
from tests.functions.router.answering.scripted import (
    ANSWERS,
    ASLEEP,
    CLOSES,
    CRASHES,
    CUT,
    DOWN,
    HANGS,
    MISSING,
    SLOW,
    THROTTLES,
    TIMES_OUT,
)

pytestmark = pytest.mark.slow

FAULTS = {
    "answers": ANSWERS,
    "crash": CRASHES,
    "early timeout": TIMES_OUT,
    "slow": SLOW,
    "throttled": THROTTLES,
    "missing": MISSING,
    "down": DOWN,
    "asleep": ASLEEP,
    "closed": CLOSES,
    "hangs": HANGS,
    "half a body": CUT,
}


PAIRS = [
    *((name, "answers") for name in FAULTS),
    *(("answers", name) for name in FAULTS if name != "answers"),
    *((name, name) for name in FAULTS if name != "answers"),
]
ANSWERED = {"answers", "slow"}
# After these a request is over: the model may have run to its end.
LAST = {"hangs", "half a body"}


@pytest.mark.parametrize(("cpu", "gpu"), PAIRS)
def test_through_each_fault_every_request_is_answered_within_its_deadline(
    stack: ExitStack, cpu: str, gpu: str
) -> None:
    both = deploy(stack, (ANSWERS, FAULTS[cpu]), (ANSWERS, FAULTS[gpu]))
    for tier in Tier:
        # The clients are made, as in an instance that runs.
        both.ask(tier=tier)
    for options in ({}, {"tier": GPU}):
        first, second = (gpu, cpu) if options else (cpu, gpu)
        # All else is over in milliseconds, or in seconds on a busy machine.
        within_s = 0.4 if first == "hangs" else 20
        start = time.monotonic()
        outcome = told(both, within_s=within_s, **options)
        # A tier hangs for longer.
        assert time.monotonic() - start < 25
        wanted, other = (GPU, CPU) if options else (CPU, GPU)
        if first in ANSWERED:
            assert outcome is wanted
        elif second in ANSWERED and first not in LAST:
            assert outcome is other
        else:
            assert outcome in (502, 503, 504)
