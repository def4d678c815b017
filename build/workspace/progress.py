"""The progress of a build: which stage of which artefact is at work, and what it does at the moment."""

from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

# Called with a line about what is at work within a stage.
Notify = Callable[[str], None]
# Called with an artefact, its stage, and the finished share of all its stages, from 0 to 1.
Progress = Callable[[str, str, float], None]
Item = TypeVar("Item")


def silent(text: str) -> None:
    """Ignore the line."""


def hidden(name: str, stage: str, done: float) -> None:
    """Show no progress."""


def counted(items: Sequence[Item], notify: Notify, noun: str = "row") -> Iterator[Item]:
    """Yield the items, with a line about each one's number before it."""
    for number, item in enumerate(items, start=1):
        notify(f"{noun} {number} of {len(items)}")
        yield item
