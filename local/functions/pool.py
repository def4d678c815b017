"""All functions of one cloud: their execution environments, as many as there are requests at once.

Timeouts, INIT, concurrency, memory and payload sizes are limited as on Lambda.
"""

import json
import os
import queue
import threading
from collections import Counter
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from contracts.limits import (
    LAMBDA_EVENT_BYTES,
    LAMBDA_INIT_S,
    LAMBDA_PAYLOAD_BYTES,
    LAMBDA_STREAM_BYTES,
)
from images.layer import Layer
from images.oci.reading import Layout
from images.running.choice import Isolating
from local import made_images
from local.chaos.running import Chaos
from local.chaos.script import Fault
from local.chaos.services import Called
from local.control.data_plane import Invocation, StreamEnd
from local.control.lambdas import error
from local.functions.by_image import TIMEOUT_S, ByImage
from local.functions.by_python import ByPython
from local.functions.environment import LOG_STREAM, Environment, nobody
from local.permissions.access import Access
from local.permissions.services import log_needs, may_log

# The most environments of one function that this machine has to hold, whatever the account may have.
MAX_CONCURRENCY = 10


class Pool:
    """The environments of all functions, by the ARN of their versions.

    With `isolating`, functions whose images were made run in them, and by this machine's Python otherwise. `base`
    returns the variables by which a function with a role reaches the cloud.
    """

    def __init__(
        self,
        state: Path,
        venvs: Path,
        *,
        access: Access,
        chaos: Chaos,
        base: Callable[[str], Mapping[str, str]],
        report: Callable[[str], None],
        init_s: float = LAMBDA_INIT_S,
        concurrency: int = 1_000,
        stream_bytes: int = LAMBDA_STREAM_BYTES,
        isolating: Isolating | None = None,
    ) -> None:
        self.init_s, self.report, self.access, self.chaos = init_s, report, access, chaos
        self.concurrency, self.stream_bytes = concurrency, stream_bytes
        self.images, self.logs = state / "images", state / "logs"
        self.lock, self.is_closed = threading.Lock(), False
        # The requests that all functions run at the moment.
        self.running = 0
        self.environments: dict[str, list[Environment]] = {}
        self.copies: Counter[str] = Counter()
        self.undo = ExitStack()
        self.by_python = ByPython(state, venvs, base=base, report=report)
        self.by_image = (
            ByImage(isolating, self.undo, base=base, report=report) if isolating else None
        )
        self.logs.mkdir(parents=True, exist_ok=True)

    def add_image(self, name: str, layout: Layout, above: Sequence[Layer] = ()) -> None:
        """Have functions run from an image that was made, with further layers above.

        Raise RunError where it cannot be isolated, LocalError for an image of another tool.
        """
        if self.by_image:
            self.by_image.add(name, layout, above)
        else:
            made_images.add(layout, self.images, above)

    def invoke(self, function: Any, payload: bytes) -> Invocation:
        """Run one version of a function; never raises for an error of the function."""
        environment = self._acquire(function)
        if environment is None:
            return Invocation(payload=b"", error=True, log="", is_throttled=True)
        try:
            body, failed = environment.invoke(payload, *self._limits_of(function))
        finally:
            self._release(environment)
        if not failed and len(body) > LAMBDA_PAYLOAD_BYTES:
            body, failed = _response_too_large(LAMBDA_PAYLOAD_BYTES), True
        return Invocation(payload=body, error=failed, log=environment.tail())

    def stream(self, function: Any, payload: bytes) -> Iterator[bytes | StreamEnd] | None:
        """Run one version of a function; yield what it sends as it comes, and last its end. None if it is throttled.

        A function is not told that its caller has gone, and runs on:
        https://docs.aws.amazon.com/lambda/latest/dg/configuration-response-streaming.html
        """
        environment = self._acquire(function)
        if environment is None:
            return None
        sent: queue.Queue[bytes | StreamEnd] = queue.Queue()

        def run() -> None:
            failed: bytes | None = error("ServiceException", "The local cloud failed; see its log.")
            try:
                chunks = environment.stream(payload, *self._limits_of(function))
                failed = pumped(chunks, sent, self.stream_bytes)
            finally:
                self._release(environment)
                sent.put(StreamEnd(error=failed or b"", log=environment.tail()))

        threading.Thread(target=run, daemon=True, name="stream").start()
        return _until_end(sent)

    def _limits_of(self, function: Any) -> tuple[float, Fault | None]:
        """Return the seconds that a request may take, and the fault that it meets."""
        called = Called(service="lambda", name=str(function.function_name))
        fault = self.chaos.strike(called, Fault.CRASH, Fault.HANG)
        return float(function.timeout or TIMEOUT_S), fault.kind if fault else None

    def prepare(self, function: Any) -> None:
        """Install the packages of a version, as the build of its image would have."""
        if not (self.by_image and self.by_image.has(function)):
            self.by_python.start_of(function)

    def forget(self, function_arn: str) -> None:
        """Close every environment of a function and its versions, or of one, once it has answered its request."""
        with self.lock:
            gone = [
                arn
                for arn in self.environments
                if arn == function_arn or arn.startswith(f"{function_arn}:")
            ]
            ended = [environment for arn in gone for environment in self.environments.pop(arn)]
        for environment in ended:
            # No other request gets it, so that the lock is taken for good.
            environment.busy.acquire(timeout=float(environment.function.timeout or TIMEOUT_S))
            environment.close()

    def close(self) -> None:
        """End every environment; a request that still runs starts no other."""
        with self.lock:
            self.is_closed = True
            ended = [environment for pool in self.environments.values() for environment in pool]
            self.environments.clear()
        # An engine takes a second for each.
        with ThreadPoolExecutor(MAX_CONCURRENCY) as at_once:
            list(at_once.map(Environment.close, ended))
        self.undo.close()

    def processes(self) -> list[tuple[str, int]]:
        with self.lock:
            return [
                (f"lambda {environment.function.function_name}", environment.process.popen.pid)
                for pool in self.environments.values()
                for environment in pool
                if environment.alive
            ]

    def _acquire(self, function: Any) -> Environment | None:
        """Return an idle environment of this version, or a new one, locked; None at the limit of concurrency."""
        of_image = bool(self.by_image and self.by_image.has(function))
        by = self.by_image if self.by_image and of_image else self.by_python
        start = by.start_of(function)
        with self.lock:
            key = str(function.function_arn)
            pool = self._alive(key)
            # Idle environments do not count, INIT does.
            # https://docs.aws.amazon.com/lambda/latest/dg/lambda-concurrency.html
            if self.running >= self.concurrency:
                return None
            for environment in pool:
                if environment.busy.acquire(blocking=False):
                    self.running += 1
                    return environment
            if len(pool) >= MAX_CONCURRENCY or self.is_closed:
                return None
            self.copies[key] += 1
            environment = Environment(
                function,
                start,
                self._log_of(function),
                self.init_s,
                self._told(function, self.copies[key]) if of_image else nobody,
            )
            environment.busy.acquire()
            pool.append(environment)
            self.running += 1
            return environment

    def _log_of(self, function: Any) -> Path:
        """Return the file of a function's log; one that keeps nothing if its role may not write it."""
        region = str(function.function_arn).split(":")[3]
        needs = log_needs(region, self.access.account, str(function.log_group), LOG_STREAM)
        may = may_log(self.access, str(function.role), needs)
        return self.logs / f"{function.function_name}.log" if may else Path(os.devnull)

    def _release(self, environment: Environment) -> None:
        with self.lock:
            self.running -= 1
        environment.busy.release()

    def _told(self, function: Any, number: int) -> Callable[[str], None]:
        """Return what reports the start and the end of a copy of a function."""
        return lambda line: self.report(f"{function.function_name}, copy {number}: {line}")

    def _alive(self, key: str) -> list[Environment]:
        """Return the environments of a version that are alive; close the others."""
        known = self.environments.get(key, [])
        for environment in known:
            if not environment.alive:
                environment.close()
        self.environments[key] = [environment for environment in known if environment.alive]
        return self.environments[key]


def pumped(
    chunks: Generator[bytes, None, bytes | None], sent: "queue.Queue[bytes | StreamEnd]", most: int
) -> bytes | None:
    """Pass all chunks on, until they are more than `most` bytes; return the error that they end with, if any."""
    total = 0
    while True:
        try:
            chunk = next(chunks)
        except StopIteration as end:
            failed: bytes | None = end.value
            return failed if total <= most else _response_too_large(most)
        total += len(chunk)
        if total <= most:
            sent.put(chunk)


def _until_end(sent: "queue.Queue[bytes | StreamEnd]") -> Iterator[bytes | StreamEnd]:
    while isinstance(item := sent.get(), bytes):
        yield item
    yield item


def _response_too_large(most: int) -> bytes:
    message = f"Response payload size exceeded maximum allowed payload size ({most} bytes)."
    return error("Function.ResponseSizeTooLarge", message)


def too_large(payload: bytes, is_event: bool) -> bytes | None:
    """Return the body of Lambda's response to a request above its size limit; None for a smaller one."""
    most, kind = LAMBDA_PAYLOAD_BYTES, "RequestResponse"
    if is_event:
        most, kind = LAMBDA_EVENT_BYTES, "Event"
    if len(payload) <= most:
        return None
    message = f"{len(payload)} byte payload is too large for the {kind} invocation type (limit {most} bytes)"
    return json.dumps({"Type": "User", "message": message}).encode()
