"""The adapter of the application to Lambda: Mangum, for events of an API Gateway HTTP API."""

import asyncio
import warnings
from collections.abc import Callable
from typing import Any

from mangum import Mangum
from mangum.adapter import DEFAULT_TEXT_MIME_TYPES
from mangum.types import ASGI, LambdaContext, LambdaEvent

from contracts.http_errors import PROBLEM_JSON

Handler = Callable[[LambdaEvent, LambdaContext], dict[str, Any]]
# Mangum takes the number of a port from them, and fails if it is none. Callers choose both, which nothing here needs.
UNREAD_HEADERS = ("host", "x-forwarded-port")


def adapt_to_lambda(app: ASGI) -> Handler:
    """Return the application as a Lambda handler."""
    _provide_event_loop()
    # With a lifespan, Mangum would start and stop the application around every request. It would encode the problem
    # documents in base64 as well, because it does not know their type as text.
    mangum = Mangum(app, lifespan="off", text_mime_types=[*DEFAULT_TEXT_MIME_TYPES, PROBLEM_JSON])

    def handler(event: LambdaEvent, context: LambdaContext) -> dict[str, Any]:
        headers = {k: v for k, v in event["headers"].items() if k.lower() not in UNREAD_HEADERS}
        return mangum({**event, "headers": headers}, context)

    return handler


def _provide_event_loop() -> None:
    """Set the thread's event loop, which Mangum takes: without one, Python 3.12 warns and 3.14 fails."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        try:
            asyncio.get_event_loop()
        except RuntimeError:
            asyncio.set_event_loop(asyncio.new_event_loop())
