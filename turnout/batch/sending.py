"""Rows to the endpoint, in requests of several: repeated until they are answered, and divided where one is refused."""

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from http.client import HTTPException
from typing import Any

from turnout.batch.answers_file import BatchError
from turnout.batch.rows import Row
from turnout.client import Connection, Endpoint, Reply, backoff_s

# Refusals that no other request of the batch would escape.
REFUSED = frozenset({401, 403, 404, 405})
# The request is at fault, and of several rows perhaps one.
AT_FAULT = frozenset({400, 413, 415, 422})
# A tier that crashes or is late by itself does so again: a row that has it do that is given up after these.
TRIES_OF_A_FAILURE = 3
Answer = dict[str, Any]


class Stopped(Exception):
    """The batch has ended, so that nobody waits for the answer."""


@dataclass(slots=True, kw_only=True)
class Patience:
    """The time of the last answer, which all senders share: without one for `most_s` the batch ends."""

    most_s: float
    clock: Callable[[], float] = time.monotonic
    last: float = field(init=False)
    stop: threading.Event = field(default_factory=threading.Event)
    failure: BatchError | None = None

    def __post_init__(self) -> None:
        self.last = self.clock()

    def answered(self) -> None:
        self.last = self.clock()

    def fail(self, message: str) -> BatchError:
        """Return the error that ends the batch, and have every sender who waits end with it."""
        self.failure = BatchError(message)
        self.stop.set()
        return self.failure

    def wait(self, seconds: float, reason: str) -> None:
        """Wait; raise BatchError if it has been too long already or the batch has failed, Stopped if it has ended."""
        since_s = self.clock() - self.last
        if since_s + seconds > self.most_s:
            raise self.fail(
                f"no answer for {since_s:.0f} s, and none before {seconds:.0f} s more: {reason}; the same command goes "
                "on later, and --patience SECONDS waits longer"
            )
        if self.stop.wait(seconds):
            raise self.failure or Stopped


@dataclass(slots=True, kw_only=True)
class Sender:
    """Requests to one model, over connections that are kept for those after them."""

    endpoint: Endpoint
    path: str
    options: Mapping[str, Any]
    patience: Patience
    say: Callable[[str], None]
    idle: list[Connection] = field(default_factory=list)

    def close(self) -> None:
        for connection in self.idle:
            connection.close()

    def answers(self, rows: Sequence[Row]) -> list[Answer]:
        """Return a line for each row, with its output or its error; raise BatchError, or Stopped."""
        reply = self._reply(rows)
        if reply.status == 200:
            return [_answer(row, i, reply.body) for i, row in enumerate(rows)]
        if len(rows) == 1:
            return [_error(rows[0], reply)]
        # The others are not at fault: each half is asked again, down to the row that is.
        half = len(rows) // 2
        return [*self.answers(rows[:half]), *self.answers(rows[half:])]

    def _reply(self, rows: Sequence[Row]) -> Reply:
        """Return an answer, or a refusal that stays one."""
        inputs = [row.input for row in rows]
        document = {"inputs": inputs, "parameters": rows[0].parameters, **self.options}
        failures, waits = 0, 0
        while True:
            reply = self._sent(document)
            if isinstance(reply, Reply):
                if reply.status in REFUSED:
                    raise self.patience.fail(
                        f"{self.endpoint.url} refuses the batch: {_detail(reply)}"
                    )
                if reply.status == 200 and not _is_whole(reply, len(rows)):
                    raise self.patience.fail(
                        f"{self.endpoint.url} answers, but it is no endpoint of Turnout; check the URL"
                    )
                if reply.status == 200 or reply.status in AT_FAULT:
                    self.patience.answered()
                    return reply
                failures += _is_failure(reply)
                if failures == TRIES_OF_A_FAILURE:
                    return reply
            wait_s, reason = _wait(reply, waits)
            waits += 1
            self.say(f"waiting {wait_s:.0f} s: {reason}")
            self.patience.wait(wait_s, reason)

    def _sent(self, document: Mapping[str, Any]) -> Reply | Exception:
        # Of a list these are atomic.
        connection = self.idle.pop() if self.idle else Connection(self.endpoint)
        try:
            return connection.request("POST", self.path, document)
        except (OSError, HTTPException) as error:
            return error
        finally:
            self.idle.append(connection)


def _is_whole(reply: Reply, rows: int) -> bool:
    """Return True for an answer that has an output for each row."""
    outputs = reply.body.get("outputs") if isinstance(reply.body, dict) else None
    return isinstance(outputs, list) and len(outputs) == rows


def _is_failure(reply: Reply) -> bool:
    """Return True if the model failed on these rows, rather than being out of reach for all."""
    return isinstance(reply.body, dict) and reply.body.get("code") in (
        "model_failed",
        "deadline_exceeded",
        "internal_error",
    )


def _wait(reply: Reply | Exception, waits: int) -> tuple[float, str]:
    """Return the seconds until the next try, and why: as the answer says, or longer each time."""
    wait_s = backoff_s(waits)
    if not isinstance(reply, Reply):
        return wait_s, f"it does not answer ({reply or type(reply).__name__})"
    return max(wait_s, reply.retry_after_s or 0.0), _detail(reply)


def _detail(reply: Reply) -> str:
    body = reply.body
    # API Gateway's own errors have a `message` and nothing else.
    said = body.get("detail", body.get("message", "")) if isinstance(body, dict) else body
    return f"{reply.status} {said}".strip()


def _answer(row: Row, place: int, body: Mapping[str, Any]) -> Answer:
    escalated = body.get("escalated", {})
    second = place in escalated.get("inputs", ())
    given = escalated if second else body
    return {
        **_head(row),
        "output": {key: value for key, value in body["outputs"][place].items() if key != "tier"},
        "version": given["version"],
        "tier": given["tier"],
        **({"degraded": True} if body.get("degraded") and not second else {}),
    }


def _error(row: Row, reply: Reply) -> Answer:
    body = reply.body if isinstance(reply.body, dict) else {}
    code = body.get("code", f"http_{reply.status}")
    return {**_head(row), "error": {"status": reply.status, "code": code, "detail": _detail(reply)}}


def _head(row: Row) -> Answer:
    return {"line": row.line, **({} if row.id is None else {"id": row.id})}
