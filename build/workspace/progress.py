"""How a build tells what it is doing."""

from collections.abc import Callable, Iterator, Sequence
from typing import Protocol, TypeVar

# Told what is at work within a stage.
Tell = Callable[[str], None]
Item = TypeVar("Item")


def silent(text: str) -> None:
    """Tells nobody."""


def counted(items: Sequence[Item], tell: Tell, of: str = "row") -> Iterator[Item]:
    """The items, each told by its number when it is begun."""
    for number, item in enumerate(items, start=1):
        tell(f"{of} {number} of {len(items)}")
        yield item


class Progress(Protocol):
    """Told at every stage of every artefact; `done` is the share of it that is behind us."""

    def stage(self, name: str, stage: str, done: float) -> None: ...


class Silent:
    """Tells nobody."""

    def stage(self, name: str, stage: str, done: float) -> None:
        return
