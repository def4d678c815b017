"""The chat template of a model: from the messages of a chat to the text that its tokenizer reads."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from contracts.api.chat import MESSAGES
from contracts.api.text_generation import RETURN_FULL_TEXT
from contracts.http_errors import InvalidInput, RequestProblem, pointer, shown
from contracts.manifest import CHAT, CHAT_TEMPLATE, BrokenArtefact, Manifest
from contracts.prediction import Input, PredictRequest

# The forms of a message's content that a template reads: a text, a list of parts, or either.
TEXT, PARTS, ANY = "text", "parts", "any"
# A template of a few hundred lines renders a long chat in milliseconds.
SECONDS = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ChatTemplate:
    """A template: its program, the form of contents that it reads, and its variables, which are special tokens."""

    program: str
    content: str
    variables: Mapping[str, str]

    @classmethod
    def open(cls, folder: Path, manifest: Manifest) -> Self | None:
        """Return the template of an artefact, None where it has none; raise BrokenArtefact."""
        if CHAT not in manifest.details:
            return None
        try:
            return cls(
                program=(folder / CHAT_TEMPLATE).read_text("utf-8"),
                content=str(manifest.details[CHAT]["content"]),
                variables=dict(manifest.details[CHAT]["variables"]),
            )
        except (OSError, KeyError, TypeError, ValueError) as error:
            raise BrokenArtefact(
                f"the manifest or {CHAT_TEMPLATE} does not say how the model reads a chat ({error!r}); build the "
                "model again"
            ) from error

    def render(self, messages: Sequence[Mapping[str, Any]]) -> str:
        """Return the chat as a text that ends where the assistant's answer begins; raise InvalidInput."""
        # Jinja is imported for the first chat, and not by a start.
        from functions.inference.prompt.sandbox import Refused, TooMuch, compiled, render

        chat = [self._message(message) for message in messages]
        variables = {**self.variables, "messages": chat, "add_generation_prompt": True}
        try:
            return render(compiled(self.program), variables, SECONDS)
        except TooMuch as error:
            raise InvalidInput(f"the model's chat template {error}") from error
        except Refused as error:
            raise InvalidInput(
                f"the model's chat template refuses it: {shown(str(error))}"
            ) from error
        # The template is a program of the model's, which fails in any way.
        except Exception as error:
            said = shown(f"{type(error).__name__}: {error}")
            raise InvalidInput(f"the model's chat template fails on it ({said})") from error

    def _message(self, message: Mapping[str, Any]) -> dict[str, Any]:
        given = {**message, "content": self._content(message["content"])}
        if "tool_calls" in message:
            given["tool_calls"] = [_with_arguments(call) for call in message["tool_calls"]]
        return given

    def _content(self, content: str | Sequence[Mapping[str, str]]) -> Any:
        """Return a content in a form that the template reads."""
        if isinstance(content, str):
            return [{"type": "text", "text": content}] if self.content == PARTS else content
        return (
            "\n".join(part["text"] for part in content) if self.content == TEXT else list(content)
        )


def _with_arguments(call: Mapping[str, Any]) -> dict[str, Any]:
    """Return a tool's call with its arguments as an object, as templates expect them, if their text is one in JSON."""
    function = call["function"]
    try:
        arguments = json.loads(function["arguments"])
    except (ValueError, RecursionError):
        arguments = None
    if not isinstance(arguments, dict):
        return dict(call)
    return {**call, "function": {**function, "arguments": arguments}}


def rendered(chat: Mapping[str, Any], template: ChatTemplate | None) -> str:
    """Return the text of a chat; raise InvalidInput."""
    if template is None:
        raise InvalidInput("the model has no chat template; send a text")
    return template.render(chat[MESSAGES])


def encoded(tokenizer: Any, given: Input, template: ChatTemplate | None) -> Any:
    """Return the encoding of a text, or of a chat, whose template writes special tokens itself; raise InvalidInput."""
    if isinstance(given, str):
        return tokenizer.encode(given)
    return tokenizer.encode(rendered(given, template), add_special_tokens=False)


def chat_problems(
    request: PredictRequest, template: ChatTemplate | None
) -> Iterator[RequestProblem]:
    """Yield the problems of a request whose inputs have the right form: chats that the template does not render."""
    chats = {i: value for i, value in enumerate(request.inputs) if not isinstance(value, str)}
    if chats and RETURN_FULL_TEXT.value(request.parameters):
        place = pointer("parameters", RETURN_FULL_TEXT.name)
        yield RequestProblem(pointer=place, detail="has no meaning for a chat")
    # Several answers to one chat are several inputs, of which it is rendered for the first.
    before, detail = None, ""
    for i, chat in chats.items():
        if chat != before:
            before, detail = chat, _problem(chat, template)
        if detail:
            yield RequestProblem(pointer=pointer("inputs", str(i), MESSAGES), detail=detail)


def _problem(chat: Mapping[str, Any], template: ChatTemplate | None) -> str:
    try:
        rendered(chat, template)
    except InvalidInput as error:
        return str(error)
    return ""
