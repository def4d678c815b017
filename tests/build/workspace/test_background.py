"""Work in the background ends before the block does, whenever an interrupt comes."""

import os
import signal
import threading
import time

import pytest

from build.workspace.background import background, interrupts_held


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_work_that_was_interrupted_as_it_began_is_waited_for(number: signal.Signals) -> None:
    """The thread is at work before the executor knows it, so the interrupt often comes in between."""
    before = signal.signal(number, signal.default_int_handler)
    done: list[int] = []

    def work(turn: int) -> None:
        os.kill(os.getpid(), number)
        time.sleep(0.002)
        done.append(turn)

    def run(turn: int) -> None:
        with background() as submit:
            submit(work, turn)
            time.sleep(10)

    try:
        for turn in range(100):
            with pytest.raises(KeyboardInterrupt):
                run(turn)
            assert done == list(range(turn + 1))
        assert signal.getsignal(number) is signal.default_int_handler
    finally:
        signal.signal(number, before)


def test_an_interrupt_is_held_until_the_block_ends() -> None:
    reached: list[bool] = []

    def run() -> None:
        with interrupts_held():
            signal.raise_signal(signal.SIGINT)
            reached.append(True)

    with pytest.raises(KeyboardInterrupt):
        run()
    assert reached


def test_another_thread_holds_no_interrupts() -> None:
    found: list[object] = []

    def look() -> None:
        with interrupts_held():
            found.append(signal.getsignal(signal.SIGINT))

    thread = threading.Thread(target=look)
    thread.start()
    thread.join()
    assert found == [signal.getsignal(signal.SIGINT)]


def test_what_has_not_begun_is_not_done() -> None:
    began, done = threading.Event(), list[int]()

    def work() -> None:
        began.set()
        time.sleep(0.05)
        done.append(1)

    with background() as submit:
        submit(work)
        submit(done.append, 2)
        began.wait()
    assert done == [1]
