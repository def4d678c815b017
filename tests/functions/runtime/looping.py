"""The loop in a thread, and what a test exchanges with it by the Runtime API."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from functions.runtime.client import RuntimeClient
from functions.runtime.loop import Context, Handler, run
from images.runtime_api import Answer, End, RuntimeApi, Work

# Nothing here takes long; a test that waits this long has failed.
PATIENCE_S = 60


class Over(BaseException):
    """The end of a loop in a test, which no handler's failure is."""


@contextmanager
def looping(api: RuntimeApi, handler: Handler) -> Iterator[None]:
    """Run the loop in a thread, until an event says that it is over."""

    def until_over(event: Any, context: Context) -> object:
        if event == "over":
            raise Over
        return handler(event, context)

    def loop() -> None:
        with pytest.raises(Over):
            run(until_over, RuntimeClient(api.address))

    thread = threading.Thread(target=loop)
    thread.start()
    try:
        yield
    finally:
        send(api, "over", "last")
        thread.join(PATIENCE_S)
    assert not thread.is_alive()


def send(api: RuntimeApi, event: object, request_id: str = "r-1") -> None:
    payload = event if isinstance(event, bytes) else json.dumps(event).encode()
    api.work.put(Work(request_id=request_id, payload=payload, deadline_ms=2**50, arn="arn:f"))


def answer_of(api: RuntimeApi) -> Answer:
    return api.answers.get(timeout=PATIENCE_S)


def chunks_of(answer: Answer) -> tuple[list[bytes], End]:
    """Return the chunks of a stream, and its end."""
    assert answer.chunks is not None
    found = []
    while isinstance(chunk := answer.chunks.get(timeout=PATIENCE_S), bytes):
        found.append(chunk)
    return found, chunk
