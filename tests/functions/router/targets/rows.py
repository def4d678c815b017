"""A table of rows in memory, as one store for several instances, and threads that run when a test says so."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from contracts.states.rows import CopyCounts, Row, copies_key


@dataclass(slots=True)
class Clock:
    """Seconds of the Unix epoch that a test puts forward; an instance's own clock runs `behind` it."""

    now: float = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


@dataclass(slots=True)
class Memory:
    """Rows in memory, or an error for every call; `reads` has the keys of each read."""

    rows: dict[str, Row] = field(default_factory=dict)
    error: Exception | None = None
    reads: list[tuple[str, ...]] = field(default_factory=list)

    def read(self, keys: Sequence[str]) -> list[Row]:
        self.reads.append(tuple(keys))
        if self.error:
            raise self.error
        return [self.rows[key] for key in keys if key in self.rows]

    def take(self, row: Row, before: float) -> Row | None:
        if self.error:
            raise self.error
        known = self.rows.get(row.key)
        if known and known.written_at >= before:
            return known
        self.rows[row.key] = row
        return None

    def write(self, address: str, at: float, desired: int, current: int, status: str) -> None:
        """Write the copies of a target, as the observer does."""
        copies = CopyCounts(desired=desired, current=current, status=status)
        key = copies_key(address)
        self.rows[key] = Row(
            key=key, written_at=at, expires_at=at + 600, document=copies.to_document()
        )


@dataclass(slots=True)
class Threads:
    """Threads that were begun and have not run yet."""

    begun: list[Callable[[], object]] = field(default_factory=list)

    def __call__(self, act: Callable[[], object]) -> None:
        self.begun.append(act)

    def run(self) -> int:
        """Run all that was begun; return how many there were."""
        begun, self.begun = self.begun, []
        for act in begun:
            act()
        return len(begun)
