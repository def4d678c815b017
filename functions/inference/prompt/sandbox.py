"""Jinja's sandbox, in which a chat template is run. Imports nothing of ours: the build runs it in a process of its own.

A template is a program in the model's files. It gets what transformers gives it, so that it renders the same text:
https://huggingface.co/docs/transformers/chat_templating_writing
"""

import json
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from functools import cache
from types import FrameType
from typing import Any, Never

from jinja2 import Template, TemplateError, nodes
from jinja2.exceptions import SecurityError
from jinja2.ext import Extension, loopcontrols
from jinja2.parser import Parser
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.utils import Namespace

# A request has at most 6 MB, and a template adds some words to each message.
MAX_CHARACTERS = 8 << 20
Clock = Callable[[], datetime]


class TooMuch(Exception):
    """A template that does not end in its time, or makes a text that is too long."""


class Refused(TemplateError):
    """A chat that the template's own program refuses, in its words."""


class Sandbox(ImmutableSandboxedEnvironment):
    """The sandbox, which multiplies and raises to a power only where the result is small: neither can be stopped."""

    intercepted_binops = frozenset(("*", "**"))

    def call_binop(self, context: Any, operator: str, left: Any, right: Any) -> Any:
        if _size(operator, left, right) > MAX_CHARACTERS:
            raise TooMuch(f"makes more than {MAX_CHARACTERS:,} characters")
        return super().call_binop(context, operator, left, right)


def _size(operator: str, left: Any, right: Any) -> int:
    """Return how many items or bits the result has at most."""
    if isinstance(left, int) and isinstance(right, int):
        bits = left.bit_length()
        return bits * abs(right) if operator == "**" else bits + right.bit_length()
    if isinstance(right, int) and hasattr(left, "__len__"):
        return len(left) * max(right, 0)
    if isinstance(left, int) and hasattr(right, "__len__"):
        return len(right) * max(left, 0)
    return 0


class Generation(Extension):
    """The block `{% generation %}`, which marks for a training what the assistant wrote; here it is its content."""

    tags = {"generation"}

    def parse(self, parser: Parser) -> nodes.Node:
        line = next(parser.stream).lineno
        body = parser.parse_statements(("name:endgeneration",), drop_needle=True)
        return nodes.Scope(body, lineno=line)


class Dict:
    """The template's `dict`: it makes a dictionary, and has none of the attributes of the class itself."""

    def __call__(self, *given: Any, **items: Any) -> dict[Any, Any]:
        return dict(*given, **items)

    def fromkeys(self, keys: Any, value: Any = None) -> dict[Any, Any]:
        return dict.fromkeys(keys, value)


class Names(Namespace):
    """The template's `namespace`, none of whose names begins with an underscore."""

    def __init__(*given: Any, **names: Any) -> None:
        # As in Namespace itself, `self` may be a name of the template's.
        own, *values = given
        for name in dict(*values, **names):
            _check(name)
        Namespace.__init__(own, *values, **names)

    def __setitem__(self, name: str, value: Any) -> None:
        _check(name)
        super().__setitem__(name, value)


def _check(name: object) -> None:
    if isinstance(name, str) and name.startswith("_"):
        raise SecurityError(
            f"a namespace takes no name that begins with an underscore, like {name!r}"
        )


def _to_json(
    value: Any,
    ensure_ascii: bool = False,
    indent: Any = None,
    separators: Any = None,
    sort_keys: bool = False,
) -> str:
    return json.dumps(
        value,
        ensure_ascii=ensure_ascii,
        indent=indent,
        separators=separators,
        sort_keys=sort_keys,
    )


def _raise(message: str) -> Never:
    raise Refused(message)


@cache
def compiled(program: str, clock: Clock = datetime.now) -> Template:
    """Return the program of a template, ready to run; raise TemplateError.

    `clock` gives the time to templates that write it.
    """
    sandbox = Sandbox(trim_blocks=True, lstrip_blocks=True, extensions=[Generation, loopcontrols])
    sandbox.filters["tojson"] = _to_json
    sandbox.globals |= {
        "raise_exception": _raise,
        "strftime_now": lambda form: clock().strftime(form),
        "dict": Dict(),
        "namespace": Names,
    }
    return sandbox.from_string(program)


def render(template: Template, variables: Mapping[str, Any], seconds: float) -> str:
    """Return the text that a template makes; raise TooMuch, or whatever its program raises."""
    pieces, length = [], 0
    with _within(seconds):
        for piece in template.generate(tools=None, documents=None, **variables):
            pieces.append(piece)
            length += len(piece)
            if length > MAX_CHARACTERS:
                raise TooMuch(f"makes more than {MAX_CHARACTERS:,} characters")
    return "".join(pieces)


@contextmanager
def _within(seconds: float) -> Iterator[None]:
    """Raise TooMuch in the code that runs within, at its first line after so many seconds."""
    end, before = time.monotonic() + seconds, sys.gettrace()

    def watch(frame: FrameType, event: str, argument: Any) -> Any:
        if time.monotonic() > end:
            raise TooMuch(f"is not done after {seconds:g} seconds")
        return watch

    # Loops within loops end after hours, and nothing else looks at the time inside of them.
    sys.settrace(watch)
    try:
        yield
    finally:
        sys.settrace(before)
