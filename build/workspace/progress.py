"""The progress of a build: which stage of which artefact is at work, and what it does at the moment."""

from collections.abc import Callable, Iterator, Sequence
from typing import Protocol, TypeVar

# Called with a line about what is at work within a stage.
Notify = Callable[[str], None]
Item = TypeVar("Item")


def silent(text: str) -> None:
    """Ignore the line."""


def counted(items: Sequence[Item], notify: Notify, noun: str = "row") -> Iterator[Item]:
    """Yield the items, with a line about each one's number before it."""
    for number, item in enumerate(items, start=1):
        notify(f"{noun} {number} of {len(items)}")
        yield item


class Progress(Protocol):
    """A display of progress; `done` is the finished share of an artefact, from 0 to 1."""

    def stage(self, name: str, stage: str, done: float) -> None: ...


class Silent:
    """A display that shows nothing."""

    def stage(self, name: str, stage: str, done: float) -> None:
        return
