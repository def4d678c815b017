"""Servers on loopback that answer a request by a script: as AWS does, or by breaking the connection."""

import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from tests.functions.scripted_server import ScriptedHandler, serving

GOOD = {"outputs": [{"label": "a"}], "version": "f00dfeed0000", "elapsed_ms": 2}


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One answer: its status, its headers and body, and where it ends instead of being sent whole.

    It ends after `hangs_s` of silence, before anything is sent (`closes`), or in the middle of its body (`cut`).
    """

    status: int = 200
    body: Any = None
    headers: tuple[tuple[str, str], ...] = ()
    hangs_s: float = 0.0
    closes: bool = False
    cut: bool = False


def aws(status: int, code: str, message: str = "", **more: str) -> Step:
    """Return an error as Lambda and SageMaker write it."""
    body = {"Message": message, "message": message, **more}
    return Step(status=status, body=body, headers=(("x-amzn-ErrorType", code),))


ANSWERS = Step(body=GOOD)
CRASHES = Step(
    body={"errorType": "Runtime.ExitError", "errorMessage": "killed"},
    headers=(("X-Amz-Function-Error", "Unhandled"),),
)
TIMES_OUT = Step(
    body={"errorType": "Sandbox.Timedout", "errorMessage": "Task timed out"},
    headers=(("X-Amz-Function-Error", "Unhandled"),),
)
THROTTLES = aws(429, "TooManyRequestsException", Reason="ConcurrentInvocationLimitExceeded")
MISSING = aws(404, "ResourceNotFoundException")
DOWN = aws(500, "ServiceException")
ASLEEP = aws(400, "ValidationError", "Inference Component has no capacity to process this request.")
CLOSES = Step(closes=True)
SLOW = Step(body=GOOD, hangs_s=0.1)
# Longer than any test waits, on a busy machine too; the end of the test ends it.
HANGS = Step(body=GOOD, hangs_s=60)
CUT = Step(body=GOOD, cut=True)


@dataclass(slots=True)
class Scripted:
    """A service that takes its steps one after the other, and the last one for ever.

    `seen` has each request's body, and `headers` its headers.
    """

    steps: list[Step]
    seen: list[Any] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    address: str = ""
    ended: threading.Event = field(default_factory=threading.Event)

    def next(self, body: Any) -> Step:
        self.seen.append(body)
        return self.steps.pop(0) if len(self.steps) > 1 else self.steps[0]


@contextmanager
def running(*steps: Step) -> Iterator[Scripted]:
    service = Scripted(list(steps))

    class Handler(ScriptedHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            service.headers.append(dict(self.headers))
            step = service.next(body)
            gone = service.ended.wait(step.hangs_s)
            self.close_connection = step.closes or step.cut or gone
            if step.closes or gone:
                return
            raw = json.dumps(step.body).encode()
            self.send_response(step.status)
            for name, value in (("Content-Length", str(len(raw))), *step.headers):
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(raw[: len(raw) // 2] if step.cut else raw)

    with serving(Handler, service.ended) as service.address:
        yield service


def unserved() -> str:
    """Return the address of a port that nobody listens on."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{taken.getsockname()[1]}"
