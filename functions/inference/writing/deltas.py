"""The deltas of a text: what of it is certain after each token, so that together they are the text as it will be."""

import re
from collections.abc import Generator
from typing import Any

from contracts.streaming import Delta
from functions.inference.detokenizer import clean_up
from functions.inference.writing.steps import Steps

# The end of a text that what follows may still change when it is cleaned up: each of the replaced strings begins with a
# space, and only these characters have another one behind them.
OPEN_TO_CLEANING = re.compile(r" [ 'nvr]*\Z")


def deltas(steps: Steps, index: int, *, cleaned: bool) -> Generator[Delta, None, dict[str, Any]]:
    """Yield the deltas of the text at `index`, of which each is sent once no token to come changes it.

    Of a text that is `cleaned` up, so are its deltas. Return what the steps return.
    """
    sent, detokenizer = 0, next(steps)
    while True:
        end = detokenizer.certain()
        if cleaned:
            end = _certain_when_cleaned(detokenizer.text, sent, end)
        if text := _cleaned(detokenizer.text[sent:end], cleaned):
            yield Delta(index=index, text=text)
        sent = end
        try:
            next(steps)
        except StopIteration as over:
            if text := _cleaned(detokenizer.text[sent:], cleaned):
                yield Delta(index=index, text=text)
            ending: dict[str, Any] = over.value
            return ending


def _cleaned(text: str, cleaned: bool) -> str:
    return clean_up(text) if cleaned else text


def _certain_when_cleaned(text: str, start: int, end: int) -> int:
    """Return the last place, from `start` to `end`, across which nothing is replaced whatever follows."""
    found = OPEN_TO_CLEANING.search(text, start, end)
    return found.start() if found else end
