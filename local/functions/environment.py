"""Execution environments: one process each, under AWS's runtime client, with the limits of time that Lambda has."""

import queue
import threading
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

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


def nobody(line: str) -> None:
    """Hear a line, and do nothing."""


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

        With a fault, the process is killed, or the request never reaches it.
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
        answer = self._answer(request_id, deadline, timeout_s)
        # A second INIT is a part of the request.
        self._tell_start()
        return answer

    def _answer(self, request_id: str, deadline: float, timeout_s: float) -> tuple[bytes, bool]:
        while True:
            try:
                # The end of the process wakes no queue, so both are polled.
                answer = self.api.answers.get(timeout=0.05)
            except queue.Empty:
                if not self.alive:
                    code = self.process.popen.wait()
                    cause = "signal: killed" if code in KILLED else f"exit status {code}"
                    return self._ended(
                        "Runtime.ExitError", request_id, f"Runtime exited with error: {cause}"
                    )
                if time.time() > deadline:
                    return self._ended(
                        "Sandbox.Timedout",
                        request_id,
                        f"Task timed out after {timeout_s:.2f} seconds",
                    )
                continue
            # The handler could not be imported; Lambda starts another environment for the next request.
            if not answer.request_id:
                self.close()
                self._told("ended, as INIT failed")
                return answer.payload, True
            if answer.request_id == request_id:
                return answer.payload, answer.error

    def _tell_start(self) -> None:
        """Tell the time that INIT took, once, when it is done."""
        if self._is_new and self.api.ready_at is not None:
            self._is_new = False
            self._told(f"started, INIT {(self.api.ready_at - self.started) * 1e3:.0f} ms")

    def _ended(self, kind: str, request_id: str, said: str) -> tuple[bytes, bool]:
        """End the process; return the error of its request."""
        self._tell_start()
        if not self._is_closed:
            self._told(f"ended: {said}")
        self.close()
        return error(kind, f"RequestId: {request_id} Error: {said}"), True

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
