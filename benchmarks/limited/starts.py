"""Cold starts of made images at one vCPU under AWS's emulator, in turn, with their files in memory."""

import statistics
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.inference.rounds import rotated
from benchmarks.limited.control_group import favour
from contracts.limits import LAMBDA_MB_PER_VCPU
from images.isolation.kernel import kernel_problem
from images.isolation.limits import Limits
from images.oci.layout import Settings
from images.oci.reading import Layout
from images.running.blocks import Blocks, blocks_read, files_of, forget
from images.running.copy import Copy
from images.running.function import Function, unpack
from images.running.kernel import Kernel
from images.running.process import started_by

TIMEOUT_S = 120


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """One cold start: milliseconds of INIT, and from the request that begins it to its answer; the peak of memory."""

    init_ms: float
    answer_ms: float
    peak_mb: float
    answer: bytes


@dataclass(slots=True, kw_only=True)
class Subject:
    """An unpacked image, and its starts that count."""

    name: str
    layout: Layout
    root: Path
    emulator: Path
    starts: list[Start] = field(default_factory=list)

    def start(self, event: bytes) -> Start:
        """Start the function and have it answer an event."""
        with self._copy() as copy:
            favour(function_of(copy))
            begun = time.perf_counter()
            answer = copy.invoke(event)
            took = (time.perf_counter() - begun) * 1e3
            peak = peak_mb(function_of(copy))
        # The line with the time of INIT may be read only when the log is closed.
        if copy.init_ms is None or answer.status != 200:
            raise SystemExit(f"{self.name}: {answer.body!r:.300}\n{copy.log}")
        return Start(init_ms=copy.init_ms, answer_ms=took, peak_mb=peak, answer=answer.body)

    def blocks(self, event: bytes) -> Blocks:
        """Return the blocks that a start reads of its image, of which nothing is in memory before."""
        files = files_of(self.layout, self.root)
        if not forget(files):
            raise SystemExit(f"{self.name}: something has its files in memory; take another folder")
        with self._copy() as copy:
            copy.invoke(event)
            assert copy.pid
            return blocks_read(files, started_by(copy.pid))

    @contextmanager
    def _copy(self) -> Iterator[Copy]:
        settings = Settings.read(self.layout.config["config"])
        limits = Limits(memory_mb=LAMBDA_MB_PER_VCPU)
        function = Function(name=self.name, settings=settings, limits=limits, timeout_s=TIMEOUT_S)
        copy = Copy(Kernel(root=self.root, emulator=self.emulator), function)
        copy.start()
        try:
            yield copy
        finally:
            copy.end()

    def median(self, key: str) -> float:
        """Return the median of one figure of the starts."""
        values: list[float] = [getattr(start, key) for start in self.starts]
        return statistics.median(values)


def subject(name: str, layout: Layout, emulator: Path, work: Path) -> Subject:
    """Return an image unpacked below `work`; end the program where the kernel does not isolate it."""
    root = work / name / "root"
    unpack(layout, root)
    if why := kernel_problem(root):
        raise SystemExit(why)
    return Subject(name=name, layout=layout, root=root, emulator=emulator)


def take_turns(subjects: Sequence[Subject], event: bytes, rounds: int) -> None:
    """Start all in each round, in an order that rotates."""
    for number in range(rounds):
        order = rotated([one.name for one in subjects], number)
        for one in sorted(subjects, key=lambda one: order.index(one.name)):
            one.starts.append(one.start(event))


def function_of(copy: Copy) -> int:
    """Return the process of a copy's function, or of the emulator before INIT: the last that was started."""
    assert copy.pid
    return started_by(copy.pid)[-1]


def peak_mb(process: int) -> float:
    """Return the most memory that a process has had, with the pages of files that it has mapped."""
    status = Path(f"/proc/{process}/status").read_text("utf-8")
    [line] = [line for line in status.splitlines() if line.startswith("VmHWM:")]
    return int(line.split()[1]) * 1024 / 1e6
