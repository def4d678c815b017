"""The threads that a function's memory gives it, whichever runtime takes them."""

import math

from contracts.limits import LAMBDA_MB_PER_VCPU


def threads_of(memory_mb: int) -> int:
    """Return the threads for a function of that memory: Lambda gives one vCPU per 1,769 MB.

    With a part of a second vCPU two spinning threads answer requests that come one by one sooner than one thread, and
    sooner than two that wait; docs/images.md has the figures.
    """
    return max(1, math.ceil(memory_mb / LAMBDA_MB_PER_VCPU))
