"""A copy of a function: one execution environment, which answers one request at a time."""

import http.client
import re
import socket
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import IO

from images.running.function import Function
from images.running.process import Isolation, Process

# https://docs.aws.amazon.com/lambda/latest/dg/images-test.html
PATH = "/2015-03-31/functions/function/invocations"
# The line with the time that INIT took; "Init Duration" in the emulator's REPORT is another figure, far too low.
INIT = re.compile(r"INIT REPORT\(durationMs: ([\d.]+)\)")
# Seconds until the emulator listens, on a machine that does much besides.
LISTENING_S = 30.0
# Seconds beyond the function's own timeout, for INIT and for the emulator to report a timeout.
WAITING_S = 60.0
KEPT_LINES = 20
# Seconds until the last line of an ended process is read, and by which a line is behind an answer at most.
CLOSING_S, REPORTED_S = 2.0, 2.0
Told = Callable[[str], None]


class NotStarted(Exception):
    """A function that ended before it listened; the message is the end of its log."""


def _nobody(_: str) -> None:
    """Hear a line, and do nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """The response of the emulator."""

    status: int
    body: bytes


class Log:
    """The output of a copy, read in a thread: its last lines, and the time that its last INIT took."""

    def __init__(self, stream: IO[bytes], told: Told) -> None:
        self.init_ms: float | None = None
        self.initialised = threading.Event()
        self.lines: deque[str] = deque(maxlen=KEPT_LINES)
        self._stream, self._told = stream, told
        self._thread = threading.Thread(target=self._read, daemon=True, name="log")
        self._thread.start()

    def _read(self) -> None:
        for raw in self._stream:
            line = raw.decode("utf-8", "replace").rstrip()
            if found := INIT.search(line):
                self.init_ms = float(found[1])
                self.initialised.set()
            self.lines.append(line)
            self._told(line)

    def mute(self) -> None:
        """Pass no line on any more: what a runtime says of its killed emulator is no news."""
        self._told = _nobody

    def close(self) -> None:
        """Take the last lines of a process that has ended."""
        self._thread.join(timeout=CLOSING_S)
        # A process that outlived its parent would keep the thread in the middle of a read.
        if not self._thread.is_alive():
            self._stream.close()

    def __str__(self) -> str:
        return "\n".join(self.lines)


class Copy:
    """One execution environment between `start` and `end`; it is started again if it has ended by itself."""

    def __init__(self, isolation: Isolation, function: Function, told: Told = _nobody) -> None:
        self.function = function
        self._isolation, self._told = isolation, told
        self._process: Process | None = None
        self._log: Log | None = None
        self._port = 0

    @property
    def init_ms(self) -> float | None:
        """Return the milliseconds of the last INIT, which the first request begins; None if it was not reported."""
        if self._log is None:
            return None
        # The emulator reports it before it answers, and the answer may be read first.
        self._log.initialised.wait(REPORTED_S)
        return self._log.init_ms

    @property
    def log(self) -> str:
        return str(self._log) if self._log else ""

    @property
    def alive(self) -> bool:
        return self._process is not None and self._process.alive

    @property
    def pid(self) -> int | None:
        """Return the process that everything of this copy ends with; None while it does not run."""
        return self._process.popen.pid if self._process else None

    def start(self) -> None:
        """Start it and return when it listens; raise NotStarted if it ends before."""
        self._port, runtime = _free_ports()
        # Both addresses are named: the emulator would listen on every interface.
        arguments = (
            "--runtime-interface-emulator-address",
            f"127.0.0.1:{self._port}",
            "--runtime-api-address",
            f"127.0.0.1:{runtime}",
        )
        process = self._process = self._isolation.start(self.function, arguments)
        assert process.popen.stdout
        self._log = Log(process.popen.stdout, self._told)
        deadline = time.monotonic() + LISTENING_S
        while not _listens(self._port):
            if not process.alive or time.monotonic() > deadline:
                self.end()
                raise NotStarted(self.log or "it ended without a word")
            time.sleep(0.01)

    def invoke(self, payload: bytes) -> Answer:
        """Return the answer to a request; raise NotStarted, or OSError or HTTPException if it ends meanwhile."""
        if not self.alive:
            self.end()
            self.start()
        timeout = self.function.timeout_s + WAITING_S
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=timeout)
        try:
            connection.request("POST", PATH, payload, {"Content-Type": "application/json"})
            response = connection.getresponse()
            return Answer(status=response.status, body=response.read())
        finally:
            connection.close()

    def end(self) -> None:
        if self._process and self._log:
            if self._process.alive:
                self._log.mute()
            self._process.end()
            self._log.close()
            self._process = None


def _free_ports() -> tuple[int, int]:
    with socket.socket() as one, socket.socket() as other:
        one.bind(("127.0.0.1", 0))
        other.bind(("127.0.0.1", 0))
        return one.getsockname()[1], other.getsockname()[1]


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0
