"""Answers of OpenAI's dialect as they are written: chunks, each a server-sent event.

https://platform.openai.com/docs/api-reference/chat-streaming
https://html.spec.whatwg.org/multipage/server-sent-events.html
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from contracts.http_errors import ServingError
from contracts.routes import Route
from contracts.streaming import Delta
from functions.router.openai.errors import document_of, refused
from functions.router.openai.generation import STREAM, STREAM_OPTIONS, head
from functions.router.openai.operation import Chunks

DONE = b"data: [DONE]\n\n"


def check_stream(given: Mapping[str, Any], refusal: str) -> None:
    """Raise InvalidInput for a stream where there is a `refusal` of all, and for options of one that is not asked."""
    if given.get(STREAM.name) and refusal:
        raise refused(STREAM.name, refusal)
    if STREAM_OPTIONS.name in given and not given.get(STREAM.name):
        raise refused(STREAM_OPTIONS.name, "is taken with `stream` alone; leave it out")


@dataclass(slots=True, kw_only=True)
class Writer:
    """The writer of one stream: every chunk has the same head."""

    chunks: Chunks
    route: Route
    choices: int
    with_usage: bool
    head: dict[str, Any] = field(init=False)

    def __post_init__(self) -> None:
        self.head = head(self.chunks.prefix, self.chunks.kind, self.route)

    def begin(self) -> Iterator[bytes]:
        """Yield the opening of every choice."""
        if self.chunks.opening is not None:
            for index in range(self.choices):
                yield event(self._chunk(_choice(index, self.chunks.opening)))

    def write(self, delta: Delta) -> bytes:
        return event(self._chunk(_choice(delta.index, self.chunks.piece(delta.text))))

    def end(self, whole: Mapping[str, Any], ours: Mapping[str, Any]) -> Iterator[bytes]:
        """Yield the end of every choice, the usage if it is wanted, and the mark behind the last chunk.

        `whole` is the answer as it would be without a stream; `ours` is what the last chunk has of the router.
        """
        last = [
            self._chunk({**_choice(one["index"], self.chunks.closing(one)), **_end(one)})
            for one in whole["choices"]
        ]
        if self.with_usage:
            last.append({**self.head, "choices": [], "usage": whole["usage"]})
        last[-1] |= ours
        yield from map(event, last)
        yield DONE

    def _chunk(self, choice: dict[str, Any]) -> dict[str, Any]:
        usage = {"usage": None} if self.with_usage else {}
        return {**self.head, "choices": [choice], **usage}


def _choice(index: int, part: Mapping[str, Any]) -> dict[str, Any]:
    return {"index": index, **part, "logprobs": None, "finish_reason": None}


def _end(whole: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a choice has at its end alone; a tier tells the log-probabilities of a text all at once."""
    return {key: whole[key] for key in ("logprobs", "finish_reason")}


def error_event(error: ServingError, names: Mapping[str, str]) -> bytes:
    """Return the event of a stream that fails once it has begun, whose status is sent by then."""
    return event({"error": document_of(error, names)})


def event(document: Mapping[str, Any]) -> bytes:
    # JSON has no line ends in it, so that one line is the whole event.
    return (
        b"data: "
        + json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode()
        + b"\n\n"
    )
