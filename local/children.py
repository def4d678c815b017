"""Child processes that end with their parent, and their memory."""

import contextlib
import ctypes
import os
import resource
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import IO

PR_SET_PDEATHSIG = 1
# Seconds between two looks at the memory of a process.
WATCH_S = 0.05
_libc = ctypes.CDLL(None) if sys.platform == "linux" else None
# The kernel sends the signal when the *thread* that started a child ends (prctl(2), PR_SET_PDEATHSIG). Request threads
# are short-lived, so children are started from this one, which lives as long as the process.
_starter = ThreadPoolExecutor(max_workers=1, thread_name_prefix="starter")


@dataclass(frozen=True, slots=True, kw_only=True)
class Memory:
    """One process in the memory report. PSS divides shared pages among the processes that map them."""

    name: str
    pid: int
    pss_mb: float


def start(
    command: Sequence[str],
    *,
    environment: Mapping[str, str],
    folder: Path,
    output: IO[bytes],
    data_limit_mb: int | None = None,
) -> subprocess.Popen[bytes]:
    """Start a process in its own session; the kernel kills it when the parent ends for whatever reason.

    It inherits no environment. `data_limit_mb` is a backstop against runaway allocation.
    """
    parent = os.getpid()

    def prepare() -> None:
        if _libc is not None:
            _libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        # The parent may have ended before the signal was set.
        if os.getppid() != parent:
            os._exit(1)
        if data_limit_mb:
            limit = data_limit_mb * 2**20
            resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))

    def popen() -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            command,
            env=dict(environment),
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            # A session of its own: `end` can kill all that the process starts, and Ctrl-C reaches the parent alone.
            start_new_session=True,
            preexec_fn=prepare,
        )

    return _starter.submit(popen).result()


def free_port() -> int:
    """Return a port of this machine's own for a server that is pinged, so that its port has to be known before."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def end(process: subprocess.Popen[bytes], *, grace_s: float = 0.0) -> None:
    """Terminate a process, then kill it and everything it has started."""
    if process.poll() is None and grace_s:
        process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(timeout=grace_s)
    with contextlib.suppress(ProcessLookupError):
        # The group outlives its leader: what the process has started is killed even if the process has ended by itself.
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def rss_mb(pid: int) -> float:
    """Return a process's resident set size in MB; 0 if it has ended."""
    with contextlib.suppress(OSError, ValueError, IndexError):
        # The second field is the resident set in pages (proc(5)).
        pages = int(Path(f"/proc/{pid}/statm").read_text("ascii").split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE") / 2**20
    return 0.0


def pss_mb(pid: int) -> float:
    """Return a process's proportional set size in MB; 0 if it cannot be read."""
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text("ascii").splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) / 1024
    return 0.0


def watch(process: subprocess.Popen[bytes], limit_mb: int) -> None:
    """Kill a process, from a thread, once it is above its memory limit, as Lambda does."""

    def run() -> None:
        while process.poll() is None:
            if rss_mb(process.pid) > limit_mb:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                return
            time.sleep(WATCH_S)

    threading.Thread(target=run, daemon=True, name="memory").start()
