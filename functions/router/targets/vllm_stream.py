"""The answers of vLLM: server-sent events of JSON, the text in them, and its errors.

https://html.spec.whatwg.org/multipage/server-sent-events.html#event-stream-interpretation
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from contracts.errors import RequestProblem
from contracts.http_errors import InvalidInput, ModelFailed, ServingError, TooLarge

DONE = b"[DONE]"
MAX_EVENT_BYTES = 8 * 1024 * 1024
EOS_TOKEN, STOP_SEQUENCE, TIME = "eos_token", "stop_sequence", "time"
# The reasons that are not a stop.
FINISH_REASONS = {"length": "length", "tool_calls": "tool_calls"}
# vLLM says it of prompts and of new tokens, and llama.cpp's server of both.
TOO_LONG = ("maximum context length", "max_model_len", "context size")


def documents(chunks: Iterable[bytes]) -> Iterator[object]:
    """Yield the documents of a stream up to its mark `[DONE]`; raise ModelFailed for what is no JSON."""
    for data in events(chunks):
        if data == DONE:
            return
        try:
            yield json.loads(data)
        except (ValueError, RecursionError):
            raise ModelFailed("the gpu tier's stream is not one of OpenAI's API") from None


def events(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """Yield the data of each server-sent event of a stream, whose chunks are cut anywhere: an empty line ends it."""
    rest = b""
    for chunk in chunks:
        *blocks, rest = (rest + chunk).replace(b"\r\n", b"\n").split(b"\n\n")
        for block in blocks:
            lines = (line for line in block.split(b"\n") if line.startswith(b"data:"))
            if data := b"\n".join(line[5:].removeprefix(b" ") for line in lines):
                yield data
        if len(rest) > MAX_EVENT_BYTES:
            raise ModelFailed(f"an event of the stream has more than {MAX_EVENT_BYTES} bytes")


class Text:
    """One text that is generated: what of it has arrived; `before` is in front of it."""

    def __init__(self, before: str = "") -> None:
        self.before = before
        self.texts: list[str] = []
        self.calls: dict[int, dict[str, Any]] = {}
        self.logprobs: dict[str, list[Any]] = {}
        self.usage: Mapping[str, int] = {}
        self.finish_reason = ""

    def take(self, document: Any) -> str:
        """Return the text in a chunk; raise the error that it is, ModelFailed for anything else."""
        if error := error_of(document):
            raise error
        match document:
            case {"choices": list(choices)}:
                self.usage = document.get("usage") or self.usage
                # The last chunk has the usage alone.
                return "".join(map(self._take, choices))
        raise ModelFailed("the gpu tier did not answer in the words of OpenAI's API")

    def cut(self) -> None:
        """End the text where it is, since the time is over."""
        self.finish_reason = self.finish_reason or TIME

    def output(self) -> dict[str, Any]:
        """Return the output, with what was passed for."""
        output = {
            "generated_text": "".join((self.before, *self.texts)),
            "finish_reason": self.finish_reason,
            "generated_tokens": self.usage.get("completion_tokens", len(self.texts)),
            "tokens": self.usage.get("prompt_tokens", 0),
            "truncated": False,
        }
        if self.calls:
            output["tool_calls"] = [*self.calls.values()]
        return {**output, "logprobs": self.logprobs} if self.logprobs else output

    def _take(self, choice: Mapping[str, Any]) -> str:
        # A chat's choice has a delta.
        said = choice.get("delta", choice)
        text = str(said.get("content") or said.get("text") or "")
        if text:
            self.texts.append(text)
        for call in said.get("tool_calls") or ():
            self._take_call(call)
        for key, values in (choice.get("logprobs") or {}).items():
            self.logprobs.setdefault(key, []).extend(values or ())
        if reason := choice.get("finish_reason"):
            # It names the string of the request's that was found.
            stopped = STOP_SEQUENCE if isinstance(choice.get("stop_reason"), str) else EOS_TOKEN
            self.finish_reason = FINISH_REASONS.get(reason, stopped)
        return text

    def _take_call(self, piece: Mapping[str, Any]) -> None:
        """Take a piece of a tool's call: its arguments arrive bit by bit."""
        call = self.calls.setdefault(
            piece["index"],
            {"id": "", "type": "function", "function": {"name": "", "arguments": ""}},
        )
        call["id"] += piece.get("id") or ""
        function = piece.get("function") or {}
        for key in ("name", "arguments"):
            call["function"][key] += function.get(key) or ""


def error_of(document: Any, status: int = 500) -> ServingError | None:
    """Return the error that an answer with that status is; None for one that is no error of vLLM's.

    Today's releases put it under `error`, and older ones wrote it bare.
    """
    match document:
        case {"error": dict(error)}:
            return _error(error, status)
        case {"object": "error"}:
            return _error(document, status)
    return None


def _error(error: Mapping[str, Any], status: int) -> ServingError:
    said = error.get("code")
    status = said if isinstance(said, int) else status
    message = str(error.get("message", ""))
    if status == 404 or status >= 500:
        return ModelFailed(f"the gpu tier's server failed (status {status}); its log says why")
    if any(words in message for words in TOO_LONG):
        return TooLarge(message)
    param = error.get("param")
    problems = [RequestProblem(pointer=f"/{param}", detail=message)] if param else []
    return InvalidInput(message, problems=problems)
