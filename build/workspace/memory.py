"""Memory given back between the steps of a build.

Graphs and what changes them hold each other, so they stay until they are collected; and the C library keeps what was
freed for itself. A build of 440 MB of weights took 8 GB with both left to themselves.
"""

import ctypes
import gc
import os

# A build keeps this many times the weights in full precision in memory at its peak: measured with an encoder of 560
# million and a Llama of 640 million, 6.2 each.
TIMES = 6.5
BYTES = 4


def give_back() -> None:
    """Collect what nothing refers to any more, and return it to the system where the C library can."""
    gc.collect()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # glibc has it
    if trim is not None:
        trim(0)


def short_of(weights: int, memory: int | None = None) -> str:
    """Why so many weights cannot be built in so many bytes, by default this machine's; empty where they can."""
    found = memory or os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    needed = weights * BYTES * TIMES
    if needed <= found:
        return ""
    return (
        f"has {weights / 1e9:.2f} billion weights, which take some {needed / 1e9:.0f} GB of memory to build, and this "
        f"machine has {found / 1e9:.0f} GB; build it on a larger one, or take a smaller model of its family"
    )
