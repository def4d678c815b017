"""The loop: one invocation after the other is handed to the handler, and what it returns is sent.

A handler returns bytes, what JSON can hold, or a stream. One that fails before the first chunk of a stream has failed
like any other; behind that, the failure is sent in the trailer of what was streamed so far.
"""

import json
import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from itertools import chain
from typing import Any, NoReturn

from functions.runtime.client import Invocation, RuntimeApiError, RuntimeClient
from functions.runtime.failures import Failure, log
from functions.runtime.response import Streamed

TRACE_ID = "_X_AMZN_TRACE_ID"
# The exit codes of AWS's own client.
BEFORE_SNAPSHOT_FAILED, AFTER_RESTORE_FAILED = 64, 65


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """The part of Lambda's context that our handlers read, under the names that AWS's own client gives it.

    `deadline_ms` is in milliseconds since 1970.
    """

    aws_request_id: str
    invoked_function_arn: str
    deadline_ms: int

    def get_remaining_time_in_millis(self) -> int:
        """Return the milliseconds after which Lambda ends the environment, 0 if they are over."""
        return max(0, self.deadline_ms - int(time.time() * 1e3))


Handler = Callable[[Any, Context], object]


def take_over(handler: Handler, environment: Mapping[str, str] = os.environ) -> None:
    """Run a handler by this loop for good, in place of AWS's client, which imports the module that calls this.

    So an image has the entry point of its base, and the name of its handler alone decides which loop runs. Return at
    once where there is no Runtime API, and exit with a status when that is gone, or a hook of a snapshot fails.
    """
    if not (address := environment.get("AWS_LAMBDA_RUNTIME_API")):
        return
    client = RuntimeClient(address)
    try:
        # Set by Lambda for a version that it takes a snapshot of.
        if environment.get("AWS_LAMBDA_INITIALIZATION_TYPE") == "snap-start":
            pass_snapshot(client)
        run(handler, client)
    except RuntimeApiError as error:
        sys.exit(str(error))


def pass_snapshot(client: RuntimeClient) -> None:
    """Run the hooks before the snapshot, the last first, and in each restored environment those behind it.

    Exit with a status if one fails; raise RuntimeApiError.
    """
    from snapshot_restore_py import get_after_restore, get_before_snapshot

    try:
        for hook, arguments, options in reversed(get_before_snapshot()):
            hook(*arguments, **options)
    except Exception as error:
        log(error)
        client.fail_init(Failure(kind="Runtime.BeforeSnapshotError", message=str(error)))
        sys.exit(BEFORE_SNAPSHOT_FAILED)
    client.wait_for_restore()
    try:
        for hook, arguments, options in get_after_restore():
            hook(*arguments, **options)
    except Exception as error:
        log(error)
        client.fail_restore(Failure(kind="Runtime.AfterRestoreError", message=str(error)))
        sys.exit(AFTER_RESTORE_FAILED)


def run(handler: Handler, client: RuntimeClient) -> NoReturn:
    """Serve invocations, until there are no more: raise RuntimeApiError then."""
    while True:
        invocation = client.next()
        try:
            serve(handler, client, invocation)
        except RuntimeApiError as error:
            # Lambda itself answers a response that it refuses; where it is gone, there is no next invocation.
            sys.stderr.write(json.dumps({"level": "ERROR", "error": str(error)}) + "\n")


def serve(handler: Handler, client: RuntimeClient, invocation: Invocation) -> None:
    """Answer one invocation; raise RuntimeApiError if the answer cannot be sent."""
    if invocation.trace_id is None:
        os.environ.pop(TRACE_ID, None)
    else:
        os.environ[TRACE_ID] = invocation.trace_id
    try:
        event = json.loads(invocation.event)
    except (ValueError, RecursionError):
        failure = Failure(kind="Runtime.UnmarshalError", message="the event is not JSON")
        return client.fail(invocation, failure)
    context = Context(
        aws_request_id=invocation.request_id,
        invoked_function_arn=invocation.arn,
        deadline_ms=invocation.deadline_ms,
    )
    content_type = "application/json"
    try:
        response = handler(event, context)
        if isinstance(response, Streamed):
            # Nothing is sent before there is something, so that a failure until then is answered like any other.
            body = next(response.chunks, b"")
        elif isinstance(response, bytes):
            body, content_type = response, "application/octet-stream"
        else:
            body = json.dumps(response, ensure_ascii=False).encode()
    except Exception as error:
        log(error, invocation.request_id)
        return client.fail(invocation, Failure.of(error))
    if isinstance(response, Streamed):
        _stream(client, invocation, response, body)
    else:
        client.respond(invocation, body, content_type)


def _stream(
    client: RuntimeClient, invocation: Invocation, response: Streamed, first: bytes
) -> None:
    with closing(response.chunks):
        rest = _caught(response.chunks, invocation.request_id)
        client.stream(invocation, response.sent_type, chain([response.head + first], rest))


def _caught(chunks: Iterator[bytes], request_id: str) -> Iterator[bytes | Failure]:
    """Yield the chunks, and a failure in place of the exception that ends them."""
    try:
        yield from chunks
    except Exception as error:
        log(error, request_id)
        yield Failure.of(error)
