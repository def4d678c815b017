"""Random edits of a `models.toml`: its text, and one change at a time."""

import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import count
from typing import Any

INSTANCES = ("ml.g4dn.xlarge", "ml.g5.xlarge", "ml.g6.xlarge")
MEMORY_MB = (1024, 1769, 2048, 3008)
# Hours in which a GPU tier that may sleep is kept awake; of one without any, one instance runs all the time.
HOURS = ("", "Mon-Fri 08:00-18:00 Europe/Berlin", "Sat,Sun 00:00-24:00 UTC")


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """A model's table; `cpu` and `gpu` are the numbers of the versions that its tiers have."""

    name: str
    cpu: int = 1
    memory_mb: int = 1769
    gpu: int = 0
    instance: str = INSTANCES[0]
    awake: str = HOURS[0]

    def text(self) -> str:
        lines = [
            f"[models.{self.name}]",
            'source = "source"',
            'task = "text-classification"',
            'eval = "rows.jsonl"',
            f"cpu = {{ memory_mb = {self.memory_mb} }}",
        ]
        if self.gpu:
            hours = f', min_instances = 0, awake = "{self.awake}"' if self.awake else ""
            lines.append(f'gpu = {{ instance = "{self.instance}"{hours} }}')
        return "\n".join(lines)


Tables = tuple[Table, ...]
FIRST: Tables = (Table(name="first", gpu=1), Table(name="second"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Edit:
    """A change in words, and the tables behind it."""

    said: str
    tables: Tables


class Editor:
    """A user with a seed; names and numbers of versions are never used twice."""

    def __init__(self, seed: str) -> None:
        self.random, self.numbers = random.Random(seed), count(2)

    def edits(self, tables: Tables) -> Iterator[Edit]:
        """Yield edits, each of what the one before left: every kind once, in a random order, and so on."""
        while True:
            for kind in self.random.sample(list(KINDS), len(KINDS)):
                if edit := KINDS[kind](self, tables):
                    tables = edit.tables
                    yield replace(edit, said=f"{kind}: {edit.said}")

    def add(self, tables: Tables) -> Edit | None:
        if len(tables) > 3:
            return None
        made = Table(name=f"model{next(self.numbers)}", gpu=self.random.choice((0, 1)))
        return Edit(said=f"{made.name}, {'with' if made.gpu else 'no'} GPU", tables=(*tables, made))

    def remove(self, tables: Tables) -> Edit | None:
        if len(tables) < 2:
            return None
        gone = self.random.choice(tables)
        return Edit(said=gone.name, tables=tuple(one for one in tables if one != gone))

    def rename(self, tables: Tables) -> Edit | None:
        # One is left whose name callers know.
        if len(tables) < 2:
            return None
        return self._changed(tables, tables, lambda one: {"name": f"model{next(self.numbers)}"})

    def version(self, tables: Tables) -> Edit | None:
        return self._changed(tables, tables, lambda one: {"cpu": next(self.numbers)})

    def memory(self, tables: Tables) -> Edit | None:
        def other(one: Table) -> dict[str, Any]:
            return {"memory_mb": self._other(MEMORY_MB, one.memory_mb)}

        return self._changed(tables, tables, other)

    def add_gpu(self, tables: Tables) -> Edit | None:
        without = [one for one in tables if not one.gpu]
        return self._changed(tables, without, lambda one: {"gpu": next(self.numbers)})

    def remove_gpu(self, tables: Tables) -> Edit | None:
        return self._changed(tables, self._with_gpu(tables), lambda one: {"gpu": 0})

    def instance(self, tables: Tables) -> Edit | None:
        def other(one: Table) -> dict[str, Any]:
            return {"instance": self._other(INSTANCES, one.instance)}

        return self._changed(tables, self._with_gpu(tables), other)

    def schedule(self, tables: Tables) -> Edit | None:
        def other(one: Table) -> dict[str, Any]:
            return {"awake": self._other(HOURS, one.awake)}

        return self._changed(tables, self._with_gpu(tables), other)

    def gpu_version(self, tables: Tables) -> Edit | None:
        return self._changed(
            tables, self._with_gpu(tables), lambda one: {"gpu": next(self.numbers)}
        )

    @staticmethod
    def _with_gpu(tables: Tables) -> list[Table]:
        return [one for one in tables if one.gpu]

    def _other(self, values: Sequence[Any], value: Any) -> Any:
        return self.random.choice([other for other in values if other != value])

    def _changed(
        self, tables: Tables, among: Sequence[Table], change: Callable[[Table], dict[str, Any]]
    ) -> Edit | None:
        """Return the edit of one of some tables; None if there is none."""
        if not among:
            return None
        one = self.random.choice(among)
        changes = change(one)
        after = replace(one, **changes)
        said = ", ".join(f"{key} = {value}" for key, value in changes.items())
        return Edit(
            said=f"{one.name}: {said}",
            tables=tuple(after if other == one else other for other in tables),
        )


KINDS: Mapping[str, Callable[[Editor, Tables], Edit | None]] = {
    "add a model": Editor.add,
    "remove a model": Editor.remove,
    "rename a model": Editor.rename,
    "change a model": Editor.version,
    "change the memory": Editor.memory,
    "add a GPU tier": Editor.add_gpu,
    "remove a GPU tier": Editor.remove_gpu,
    "change the instance": Editor.instance,
    "change the schedule": Editor.schedule,
    "change a GPU's model": Editor.gpu_version,
}
