"""The threads that a function's memory gives it, whichever runtime takes them, and where they run."""

import math
import os
from collections.abc import Sequence

from contracts.limits import LAMBDA_MB_PER_VCPU


def threads_of(memory_mb: int) -> int:
    """Return the threads for a function of that memory: Lambda gives one vCPU per 1,769 MB.

    With a part of a second vCPU two spinning threads answer requests that come one by one sooner than one thread, and
    sooner than two that wait; docs/images.md has the figures.
    """
    return max(1, math.ceil(memory_mb / LAMBDA_MB_PER_VCPU))


def available_processors() -> Sequence[int]:
    """Return the processors that this process may run on, numbered from 0; none where the system does not say."""
    return sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else ()


def processors_of(threads: int, available: Sequence[int]) -> Sequence[int]:
    """Return the processor of each thread but the one that asks for a run; none where the system places them itself.

    Linux may wake a thread on the processor of the one that then waits for it by spinning, where it gets no time until
    the scheduler's next tick: 4 ms for a run of 2. With half of the processors to spare it finds another by itself.
    """
    if not 1 < threads <= len(available) < 2 * threads:
        return ()
    return available[1:threads]
