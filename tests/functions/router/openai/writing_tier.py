"""A tier that writes word by word, when a test lets it, and clients of the streaming front."""

import asyncio
import json
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import httpx2

from contracts.prediction import Input, PredictRequest, TierAnswer
from contracts.routes import Target
from contracts.streaming import Delta
from functions.router.http.rest_adapter import adapt_to_rest
from functions.router.targets.backends import Written
from functions.runtime.response import Streamed
from tests.fixtures.router_app import FakeTier


@dataclass(slots=True)
class WritingTier(FakeTier):
    """A tier that writes each prompt, or last message, in capitals: a word of each in turn; `more` is in its answer.

    It waits for `go_on` before each word but the first of all, and raises `breaks` after that one. `closed` says that
    it has ended.
    """

    go_on: threading.Event = field(default_factory=threading.Event)
    closed: threading.Event = field(default_factory=threading.Event)
    breaks: Exception | None = None
    more: dict[str, Any] = field(default_factory=dict)

    def predict(self, target: Target, request: PredictRequest) -> TierAnswer:
        given = FakeTier.predict(self, target, request)
        return replace(given, outputs=tuple({**_output(i), **self.more} for i in request.inputs))

    def stream(self, target: Target, request: PredictRequest) -> Written:
        answer = self.predict(target, request)
        try:
            for number, delta in enumerate(_words(answer)):
                if number:
                    self.go_on.wait(20)
                yield delta
                if self.breaks:
                    raise self.breaks
            yield answer
        finally:
            self.closed.set()


def _output(given: Input) -> dict[str, Any]:
    said = str(given if isinstance(given, str) else given["messages"][-1]["content"])
    return {
        "generated_text": said.upper(),
        "finish_reason": "eos_token",
        "generated_tokens": 7,
        "tokens": len(said.split()),
        "truncated": False,
    }


def _words(answer: TierAnswer) -> Iterator[Delta]:
    texts = [output["generated_text"].split(" ") for output in answer.outputs]
    for place in range(max(map(len, texts))):
        for index, words in enumerate(texts):
            if place < len(words):
                yield Delta(index=index, text=(" " if place else "") + words[place])


def rest_event(
    method: str,
    path: str,
    body: str | None = None,
    *,
    headers: Mapping[str, str] | None = None,
    query: Mapping[str, list[str]] | None = None,
    base64: bool = False,
) -> dict[str, Any]:
    """Return the event of a REST API for a request, as its documentation has it."""
    return {
        "resource": "/{proxy+}",
        "path": path,
        "httpMethod": method,
        "multiValueHeaders": {name: [value] for name, value in (headers or {}).items()} or None,
        "multiValueQueryStringParameters": query,
        "requestContext": {
            "requestId": "c6af9ac6-7b61-11e6-9a41-93e8deadbeef",
            "stage": "live",
            "path": f"/live{path}",
            "domainName": "abc.execute-api.us-east-1.amazonaws.com",
            "identity": {"sourceIp": "192.0.2.1"},
        },
        "body": body,
        "isBase64Encoded": base64,
    }


class StreamingGateway(httpx2.BaseTransport):
    """A transport that gives requests to the router as a REST API does, and the body back as it comes."""

    def __init__(self, app: Any) -> None:
        self.loop = asyncio.new_event_loop()
        self.handler = adapt_to_rest(app, self.loop)

    def close(self) -> None:
        self.loop.run_until_complete(self.loop.shutdown_asyncgens())
        self.loop.run_until_complete(self.loop.shutdown_default_executor())
        self.loop.close()

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        event = rest_event(
            request.method,
            request.url.path,
            request.read().decode() or None,
            headers=dict(request.headers),
        )
        given = self.handler(event, None)
        # What it says before the body goes as JSON.
        prelude = json.loads(json.dumps(given.prelude))
        return httpx2.Response(
            prelude["statusCode"], headers=prelude["headers"], stream=_Body(given), request=request
        )


class _Body(httpx2.SyncByteStream):
    def __init__(self, given: Streamed) -> None:
        self.given = given

    def __iter__(self) -> Iterator[bytes]:
        yield from self.given.chunks

    def close(self) -> None:
        self.given.chunks.close()
