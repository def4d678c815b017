"""The response that is sent as a tier writes it, in server-sent events of OpenAI's dialect."""

import logging
from collections.abc import AsyncIterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from typing import Any

from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from contracts.errors import ServingError
from contracts.prediction import PredictRequest
from contracts.routes import Route
from contracts.streaming import Delta
from functions.router.answering.answers import log_texts
from functions.router.answering.attempts import Attempts
from functions.router.answering.streams import Begun, begin
from functions.router.http.head import log_stand_in, ours
from functions.router.http.middleware import EVENT_HEADERS, EVENT_STREAM
from functions.router.openai.chunks import Writer, error_event
from functions.router.openai.generation import STREAM_OPTIONS
from functions.router.openai.operation import Chunks, Operation

failures = logging.getLogger("turnout.router")


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A request for a stream: its operation, the form of the chunks and the keys that were given, and what they mean.

    `log_fields` are those of its line of log.
    """

    operation: Operation
    chunks: Chunks
    given: Mapping[str, Any]
    request: PredictRequest
    route: Route
    log_fields: dict[str, Any]

    def writer(self) -> Writer:
        options = self.given.get(STREAM_OPTIONS.name, {})
        return Writer(
            chunks=self.chunks,
            route=self.route,
            choices=len(self.request.inputs),
            with_usage=options.get("include_usage", False),
        )


async def event_stream(asked: Asked, attempts: Attempts) -> "EventStream":
    """Return the response once a tier has begun to write; raise a ServingError before."""
    begun = await begin(attempts, asked.request, asked.route, asked.log_fields)
    log_stand_in(begun.stands_in, begun.degraded, asked.log_fields)
    return EventStream(asked, begun)


class EventStream(StreamingResponse):
    """A stream that has begun; whatever ends it, the tier's part of it ends too."""

    def __init__(self, asked: Asked, begun: Begun) -> None:
        super().__init__(_events(asked, begun), headers=EVENT_HEADERS, media_type=EVENT_STREAM)
        self.reading = begun.reading

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        # A caller who leaves ends nothing of the tier by that alone.
        with closing(self.reading):
            await super().__call__(scope, receive, send)


async def _events(asked: Asked, begun: Begun) -> AsyncIterator[bytes]:
    """Yield the events; a failure is one too, and the last."""
    log_fields, writer = asked.log_fields, asked.writer()
    # The caller may leave at any event.
    log_fields["unfinished"] = 1
    try:
        for opening in writer.begin():
            yield opening
        async for item in begun.items:
            if isinstance(item, Delta):
                yield writer.write(item)
                continue
            log_texts(item.outputs, log_fields)
            whole = asked.operation.answer(asked.given, asked.route, item)
            for event in writer.end(whole, ours(begun.answer(item))):
                yield event
        del log_fields["unfinished"]
    except Exception as error:
        if not isinstance(error, ServingError):
            failures.exception("a stream failed")
            error = ServingError("the router failed; its log says why")
        log_fields["problem"] = error.code
        yield error_event(error, asked.operation.places)
