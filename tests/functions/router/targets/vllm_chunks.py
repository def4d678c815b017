"""Chunks of streams as vLLM writes them, and a container that answers with them."""

import json
from collections.abc import Generator, Iterable
from dataclasses import dataclass, field
from typing import Any

from contracts.prediction import PredictRequest
from contracts.tasks import Server, Tier
from functions.router.targets.vllm import predict
from tests.fixtures.router_app import target

TARGET = target(Tier.GPU, server=Server.VLLM)
CHAT = {"messages": [{"role": "user", "content": "hi"}]}
STREAMED = {
    "stream": True,
    "stream_options": {"include_usage": True, "continuous_usage_stats": True},
}
DONE = b"data: [DONE]\n\n"


def usage(prompt: int, written: int) -> dict[str, Any]:
    return {"prompt_tokens": prompt, "completion_tokens": written, "total_tokens": prompt + written}


def event(document: object) -> bytes:
    return b"data: " + json.dumps(document).encode() + b"\n\n"


def piece(text: str, written: int, reason: str | None = None, **more: Any) -> bytes:
    """Return a chunk of a completion."""
    choice = {"index": 0, "text": text, "logprobs": None, "finish_reason": reason, **more}
    return event({"object": "text_completion", "choices": [choice], "usage": usage(3, written)})


def said(delta: dict[str, Any], reason: str | None = None, **more: Any) -> bytes:
    """Return a chunk of a chat, without the counts of tokens."""
    choice = {"index": 0, "delta": delta, "finish_reason": reason, **more}
    return event({"object": "chat.completion.chunk", "choices": [choice]})


def last(prompt: int, written: int) -> bytes:
    return event({"choices": [], "usage": usage(prompt, written)})


WHOLE = (piece(" Pa", 1), piece("ris", 2), piece(".", 3, "stop"), last(3, 3), DONE)


@dataclass(slots=True)
class Calls:
    """A container that answers each call with the next of its streams; `bodies` has what it was sent."""

    streams: list[Iterable[bytes]]
    bodies: list[dict[str, Any]] = field(default_factory=list)
    open: int = 0

    def __call__(self, body: dict[str, Any]) -> Generator[bytes, None, None]:
        self.bodies.append(body)
        self.open += 1
        try:
            yield from self.streams.pop(0)
        finally:
            self.open -= 1


def ask(*chunks: bytes, asked: PredictRequest | None = None) -> dict[str, Any]:
    """Return the output that a stream makes."""
    (output,) = predict(TARGET, asked or PredictRequest(inputs=("a",)), Calls([chunks])).outputs
    return output
