"""Work in a thread beside what the main thread does, which an interrupt ends as it ends the main thread."""

import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

# Called with a function and its arguments.
Submit = Callable[..., Future[Any]]
INTERRUPTS = (signal.SIGINT, signal.SIGTERM)


@contextmanager
def background() -> Iterator[Submit]:
    """Yield a function that has work done beside the block, one after the other.

    What has not begun by the end of the block is not done.
    """
    executor = ThreadPoolExecutor(1)

    def submit(work: Callable[..., Any], *arguments: object) -> Future[Any]:
        with interrupts_held():
            return executor.submit(work, *arguments)

    try:
        yield submit
    finally:
        executor.shutdown(cancel_futures=True)


@contextmanager
def interrupts_held() -> Iterator[None]:
    """Hold an interrupt in the main thread back until the block ends.

    One that comes while a thread is started leaves it running with nobody who waits for it: the executor does not know
    it yet.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    held: list[signal.Signals] = []
    handlers = {
        number: signal.signal(number, lambda number, frame: held.append(signal.Signals(number)))
        for number in INTERRUPTS
    }
    try:
        yield
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
        if held:
            signal.raise_signal(held[0])
