"""The Lambda handler of a model that writes: that of every model, and a stream for a request that asks for one.

AWS's runtime client, which cannot stream, imports it like any handler, and the loop takes over.
"""

import time
from collections.abc import Generator

from contracts.http_errors import ServingError
from contracts.streaming import NDJSON, STREAM, line_of, parse_tier_request
from functions.cpu import handler as whole
from functions.runtime.failures import log
from functions.runtime.loop import take_over
from functions.runtime.response import Streamed


def handler(event: object, context: object) -> object:
    """Answer as every function does, or in the lines of a stream, of which the last may be a problem."""
    if isinstance(event, dict) and event.get(STREAM):
        return Streamed(content_type=NDJSON, chunks=lines(event, context))
    return whole.handler(event, context)


def lines(event: object, context: object) -> Generator[bytes, None, None]:
    """Yield the lines as the text is written; raise nothing, so that no stack trace leaves the function."""
    try:
        request = parse_tier_request(event).due(time.monotonic(), whole.left_s(context))
        for item in whole.ENGINE.stream(request):
            yield line_of(item)
    except ServingError as error:
        yield line_of(error)
    except Exception as error:
        log(error, whole.request_id(context))
        yield line_of(ServingError("the function failed; its log says why"))


take_over(handler)
