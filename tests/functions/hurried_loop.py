"""An event loop whose clock skips the time in which nothing but its own timers can happen."""

import asyncio
import selectors
import threading
from typing import Any


class Wait:
    """The wait of a thread for a time of the loop, which meanwhile has nothing to wait for but its timers."""

    def __init__(self) -> None:
        self.goes_on, self.over = threading.Event(), threading.Event()

    def wait(self) -> None:
        """Wait, in a thread, until the loop says that it is over."""
        self.goes_on.set()
        assert self.over.wait(60)

    def end(self) -> None:
        """End the wait; called by the loop, or at the end of a test."""
        self.goes_on.clear()
        self.over.set()


class HurriedLoop(asyncio.SelectorEventLoop):
    """A loop that skips to its next timer while a thread waits by `Wait`."""

    def __init__(self, wait: Wait) -> None:
        self.skipped_s = 0.0
        super().__init__(_Selector(self, wait))

    def time(self) -> float:
        return super().time() + self.skipped_s


class _Selector(selectors.DefaultSelector):
    def __init__(self, loop: HurriedLoop, wait: Wait) -> None:
        super().__init__()
        self.loop, self.waiting = loop, wait

    def select(self, timeout: float | None = None) -> Any:
        if not timeout or not self.waiting.goes_on.is_set():
            # The thread may begin to wait meanwhile.
            return super().select(timeout if timeout is None else min(timeout, 0.05))
        if not (found := super().select(0)):
            self.loop.skipped_s += timeout
        return found
