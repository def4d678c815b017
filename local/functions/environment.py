"""Execution environments: one process each, under AWS's runtime client, with the limits of time that Lambda has."""

import contextlib
import queue
import subprocess
import threading
import time
import uuid
from collections.abc import Callable, Generator
from pathlib import Path
from typing import IO, Any, NoReturn, TypeVar

from contracts.limits import LAMBDA_INIT_S
from images.running.process import Process
from images.runtime_api import RuntimeApi, Work
from local.chaos.script import Fault
from local.control.lambdas import error

# Starts a function's process with the address of its Runtime API, writing its output into a file.
Start = Callable[[str, IO[bytes]], Process]
LOG_STREAM = "local"
# A process that was killed, and a first process of a namespace that was, as a shell reports it.
KILLED = (-9, 137)
# The seconds in which a process ends whose connections are closed: an engine takes some for its container.
EXIT_S = 10
Item = TypeVar("Item")


class _Ended(Exception):
    """A process has ended, with this as the error of its request."""

    def __init__(self, error: bytes) -> None:
        super().__init__(error)
        self.error = error


def nobody(line: str) -> None:
    """Hear a line, and do nothing."""


def command_of(function: Any) -> str:
    """Return the handler that a function has in place of its image's; empty where it has none."""
    return str(next(iter(function.image_config.cmd), ""))


def configured(function: Any) -> dict[str, str]:
    """Return the variables that Lambda gives a function, and those of its configuration."""
    return {
        "AWS_LAMBDA_FUNCTION_NAME": str(function.function_name),
        "AWS_LAMBDA_FUNCTION_VERSION": str(function.version),
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(function.memory_size),
        "AWS_LAMBDA_LOG_GROUP_NAME": f"/aws/lambda/{function.function_name}",
        "AWS_LAMBDA_LOG_STREAM_NAME": LOG_STREAM,
        **{str(k): str(v) for k, v in (function.environment_vars or {}).items()},
    }


class Environment:
    """An execution environment: one process that serves one invocation at a time.

    INIT may take `init_s`. One that is not done by then is ended, and run once more under the timeout of the request:
    https://docs.aws.amazon.com/lambda/latest/dg/lambda-runtime-environment.html#runtimes-lifecycle-ib
    """

    def __init__(
        self,
        function: Any,
        start: Start,
        log: Path,
        init_s: float = LAMBDA_INIT_S,
        told: Callable[[str], None] = nobody,
    ) -> None:
        self.function, self.log, self.init_s = function, log, init_s
        self.busy, self._ending = threading.Lock(), threading.Lock()
        self._is_closed = False
        self.output = log.open("ab")
        self._start, self._told = start, told
        self._begin()

    def _begin(self) -> None:
        """Start the process, with a server of its own: a request for work of an ended one must not get the next."""
        self.started, self.api = time.monotonic(), RuntimeApi()
        self._is_new = True
        try:
            self.process = self._start(self.api.address, self.output)
        except BaseException:
            self.api.close()
            self.output.close()
            raise

    def _end_init(self) -> None:
        """Return when INIT is done or has failed; begin it again if it takes longer than it may."""
        while self.alive and self.api.answers.empty() and not self.api.ready.wait(0.05):
            if time.monotonic() - self.started > self.init_s:
                return self._begin_again()

    def _begin_again(self) -> None:
        line = (
            f"INIT_REPORT Init Duration: {self.init_s * 1e3:.2f} ms Phase: init Status: timeout\n"
        )
        with self._ending:
            # Between the two, the cloud may end, behind which nothing is started.
            if not self._is_closed:
                self.process.end()
                self.api.close()
                self.output.write(line.encode())
                self.output.flush()
                self._begin()
        self._told(
            f"INIT took more than {self.init_s:g} s and was cut off; it runs again within the request's timeout"
        )

    @property
    def alive(self) -> bool:
        return self.process.alive

    def invoke(
        self, payload: bytes, timeout_s: float, fault: Fault | None = None
    ) -> tuple[bytes, bool]:
        """Return the response and whether it is an error; a process that hangs or ends is not reused.

        With a fault, the process is killed, or the request never reaches it. A response that is streamed is collected.
        """
        chunks = self.stream(payload, timeout_s, fault)
        body = bytearray()
        try:
            while True:
                body += next(chunks)
        except StopIteration as end:
            return (bytes(body), False) if end.value is None else (end.value, True)

    def stream(
        self, payload: bytes, timeout_s: float, fault: Fault | None = None
    ) -> Generator[bytes, None, bytes | None]:
        """Yield the chunks of a response as they come, and return the error that it ends with, if any.

        A response that is not streamed is one chunk.
        """
        self._end_init()
        self._tell_start()
        request_id = str(uuid.uuid4())
        # INIT is not a part of the request, unless it is run again.
        deadline = time.time() + timeout_s
        work = Work(
            request_id=request_id,
            payload=payload,
            deadline_ms=int(deadline * 1000),
            arn=str(self.function.function_arn),
        )
        if fault is Fault.CRASH:
            self.process.end()
        elif fault is not Fault.HANG:
            self.api.work.put(work)
        try:
            error = yield from self._chunks(request_id, deadline, timeout_s)
        except _Ended as ended:
            error = ended.error
        # A second INIT is a part of the request.
        self._tell_start()
        return error

    def _chunks(
        self, request_id: str, deadline: float, timeout_s: float
    ) -> Generator[bytes, None, bytes | None]:
        """Yield the chunks of a response, and return the function's own error; raise _Ended if its process ends."""
        waited = (request_id, deadline, timeout_s)
        answer = self._next(self.api.answers, *waited)
        # Of an earlier request, which timed out.
        while answer.request_id not in ("", request_id):
            answer = self._next(self.api.answers, *waited)
        # The handler could not be imported; Lambda starts another environment for the next request.
        if not answer.request_id:
            self.close()
            self._told("ended, as INIT failed")
            return answer.payload
        if answer.chunks is None:
            if answer.error:
                return answer.payload
            yield answer.payload
            return None
        while isinstance(chunk := self._next(answer.chunks, *waited), bytes):
            yield chunk
        if not chunk.cut:
            return chunk.error or None
        # A connection that is cut is mostly that of a process which ends.
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.popen.wait(EXIT_S)
        if not self.alive:
            self._raise_exited(request_id)
        return error("Runtime.TruncatedResponse", f"RequestId: {request_id} Error: cut off")

    def _next(
        self, items: "queue.Queue[Item]", request_id: str, deadline: float, timeout_s: float
    ) -> Item:
        """Return the next item of a queue; raise _Ended if the process ends, or is ended as its time is over."""
        while True:
            try:
                # The end of the process wakes no queue, so both are polled.
                return items.get(timeout=0.05)
            except queue.Empty:
                # What it sent last may have come in between.
                if not self.alive and items.empty():
                    self._raise_exited(request_id)
                if time.time() > deadline:
                    said = f"Task timed out after {timeout_s:.2f} seconds"
                    raise self._ended("Sandbox.Timedout", request_id, said) from None

    def _raise_exited(self, request_id: str) -> NoReturn:
        code = self.process.popen.wait()
        cause = "signal: killed" if code in KILLED else f"exit status {code}"
        said = f"Runtime exited with error: {cause}"
        raise self._ended("Runtime.ExitError", request_id, said)

    def _tell_start(self) -> None:
        """Tell the time that INIT took, once, when it is done."""
        if self._is_new and self.api.ready_at is not None:
            self._is_new = False
            self._told(f"started, INIT {(self.api.ready_at - self.started) * 1e3:.0f} ms")

    def _ended(self, kind: str, request_id: str, said: str) -> "_Ended":
        """End the process; return what says so, with the error of its request."""
        self._tell_start()
        if not self._is_closed:
            self._told(f"ended: {said}")
        self.close()
        return _Ended(error(kind, f"RequestId: {request_id} Error: {said}"))

    def tail(self) -> str:
        with self.log.open("rb") as file:
            file.seek(max(0, self.log.stat().st_size - 4096))
            return file.read().decode("utf-8", "replace")

    def close(self) -> None:
        with self._ending:
            self._is_closed = True
            self.process.end()
            self.api.close()
            self.output.close()
