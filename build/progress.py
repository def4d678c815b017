"""How a build tells what it is doing."""

from typing import Protocol


class Progress(Protocol):
    """Told at every stage of every artefact; `done` is the share of it that is behind us."""

    def stage(self, name: str, stage: str, done: float) -> None: ...


class Silent:
    """Tells nobody."""

    def stage(self, name: str, stage: str, done: float) -> None:
        return
