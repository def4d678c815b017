"""A chat template as the pieces around a query and a text, so that no template is run where requests are answered."""

from collections.abc import Iterable, Mapping, Sequence
from itertools import combinations
from typing import Any

from build.sources.huggingface.chat.renderer import Message, render
from build.sources.huggingface.chat.template_files import Template
from functions.inference.tasks.conversation import ROLES, joined

# Contents whose places are looked for, and others that have to stand in the same ones. A template may do things by
# what a text contains, or how it begins and ends.
MARKS = ("Quack7query", "Honk8text")
PROBES = (
    ("1 2 3 4", "0"),
    ("  both sides \n", "\n a text \t"),
    ("<b>{{ x }}</b> & 'one' \"two\"\\", "{% if %}</think>\n\nline [1]"),
    ("Größe 🚆", "http://example.org/a.txt"),
    ("", ""),
)
Pieces = dict[str, Any]


class NoPieces(Exception):
    """A template that does more than put a query and a text into their places, with the reason."""


def pieces_of(template: Template, prompts: Iterable[str]) -> Pieces:
    """Return the details of a conversation: the order of its roles, which are stripped, the pieces of each prompt.

    A prompt is the message of the system, and "" stands for none. Raise NoPieces or NotRendered.
    """
    texts = list(dict.fromkeys(("", *prompts)))
    pairs = (MARKS, *PROBES)
    chats = [_messages(template, prompt, pair) for prompt in texts for pair in pairs]
    rendered = iter(render(template.program, chats, template.variables))
    found = {prompt: [next(rendered) for _ in pairs] for prompt in texts}
    order = _order(found[""][0])
    pieces = {prompt: _split(own[0], order) for prompt, own in found.items()}
    for count in range(len(ROLES) + 1):
        for stripped in combinations(ROLES, count):
            made: Pieces = {"order": list(order), "stripped": list(stripped), "pieces": pieces}
            if all(_same(made, prompt, own) for prompt, own in found.items()):
                return made
    raise NoPieces("changes a query or a text by what is in it")


def _messages(template: Template, prompt: str, pair: Sequence[str]) -> list[Message]:
    system = [template.message("system", prompt)] if prompt else []
    return [*system, *map(template.message, ROLES, pair)]


def _order(rendered: str) -> tuple[str, ...]:
    """Return the roles in the order of their contents."""
    for role, mark in zip(ROLES, MARKS, strict=True):
        if rendered.count(mark) != 1:
            times = "drops" if mark not in rendered else "repeats"
            raise NoPieces(f"{times} the message of the role {role!r}")
    marks = dict(zip(ROLES, MARKS, strict=True))
    return tuple(sorted(ROLES, key=lambda role: rendered.index(marks[role])))


def _split(rendered: str, order: Sequence[str]) -> list[str]:
    if _order(rendered) != tuple(order):
        raise NoPieces("puts a query and a text in another order with a prompt")
    marks = dict(zip(ROLES, MARKS, strict=True))
    before, rest = rendered.split(marks[order[0]])
    return [before, *rest.split(marks[order[1]])]


def _same(made: Mapping[str, Any], prompt: str, rendered: Sequence[str]) -> bool:
    return all(
        joined(made, prompt, dict(zip(ROLES, pair, strict=True))) == right
        for pair, right in zip(PROBES, rendered[1:], strict=True)
    )
