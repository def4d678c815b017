"""A script of faults while it runs: which of them a call meets, and what is said when each begins and ends."""

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from local.chaos.script import Fault, Scripted
from local.chaos.services import Called

# Seconds between two looks at the faults that begin and end; calls look for themselves.
TICK_S = 0.1


@dataclass(slots=True, kw_only=True)
class Running:
    """A fault of the script that runs: the calls that it was about, those that met it, and its state."""

    fault: Scripted
    calls: int = 0
    met: int = 0
    has_begun: bool = False
    has_ended: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ComponentCopies:
    """The copies of components, as faults of sleep take them away."""

    lose: Callable[[str, float], None]
    have: Callable[[str], bool]
    restore: Callable[[str], None]


class Chaos:
    """The faults of one cloud; none until `begin`, whose script takes the place of the one before."""

    def __init__(
        self,
        copies: ComponentCopies,
        *,
        report: Callable[[str], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.copies, self.report, self.clock = copies, report, clock
        self.lock, self.ended = threading.Lock(), threading.Event()
        self.began = 0.0
        self.faults: tuple[Running, ...] = ()
        self.thread: threading.Thread | None = None

    def begin(self, script: Sequence[Scripted]) -> None:
        """Run a script from now on; the times in it are counted from here."""
        self.stop()
        self.ended = threading.Event()
        with self.lock:
            self.began = self.clock()
            self.faults = tuple(Running(fault=fault) for fault in script)
        self.look()
        if script:
            self.thread = threading.Thread(target=self._watch, args=(self.ended,), daemon=True)
            self.thread.start()

    def stop(self) -> None:
        """End all faults, and let go of the calls that hang."""
        with self.lock:
            over, self.faults = self.faults, ()
        self.ended.set()
        if self.thread:
            self.thread.join()
            self.thread = None
        for one in over:
            if _sleeps(one):
                self.copies.restore(one.fault.of.name)

    def strike(self, called: Called, *kinds: Fault) -> Scripted | None:
        """Return the first fault of these kinds that a call meets now, and count it."""
        with self.lock:
            now = self.clock() - self.began
            for one in self.faults:
                fault = one.fault
                if fault.kind not in kinds or not fault.of.covers(called):
                    continue
                if not fault.from_s <= now < fault.until_s:
                    continue
                one.calls += 1
                # Of n calls, exactly the share has met it, whatever n is.
                if int(one.calls * fault.share) > int((one.calls - 1) * fault.share):
                    one.met += 1
                    return fault
        return None

    def met(self) -> list[int]:
        """Return how many calls have met each fault of the script, in its order."""
        with self.lock:
            return [one.met for one in self.faults]

    def hold(self, seconds: float) -> None:
        """Wait, as one that hangs, until the faults are over."""
        self.ended.wait(seconds)

    def look(self) -> None:
        """Begin and end the faults whose time has come, and say so."""
        now = self.clock() - self.began
        for one in self.faults:
            if not one.has_begun and now >= one.fault.from_s:
                one.has_begun = True
                self.report(f"{now:4.0f} s  begins: {one.fault}")
                if one.fault.kind is Fault.ASLEEP:
                    self.copies.lose(one.fault.of.name, one.fault.wake_s)
            if one.has_begun and not one.has_ended and self._is_over(one, now):
                one.has_ended = True
                calls = "1 call" if one.met == 1 else f"{one.met} calls"
                self.report(f"{now:4.0f} s  ends:   {one.fault}; {calls} met it")

    def _is_over(self, one: Running, now: float) -> bool:
        if one.fault.kind is Fault.ASLEEP:
            return self.copies.have(one.fault.of.name)
        return now >= one.fault.until_s

    def _watch(self, ended: threading.Event) -> None:
        while not ended.wait(TICK_S) and not all(one.has_ended for one in self.faults):
            self.look()


def _sleeps(one: Running) -> bool:
    return one.fault.kind is Fault.ASLEEP and one.has_begun and not one.has_ended
