"""Sources as a build has read, exported and run them before it checks its reading, and faults of that reading."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import build
from build.families.registry import family_of
from build.proof.sealing import seal
from build.reading.check import check
from build.reading.outputs import Reference
from build.sources.huggingface.tokenizer import with_settings
from build.sources.huggingface.weights import unpickled
from build.sources.source import TransformersSource
from build.step import Step
from build.workspace.progress import silent
from contracts.tasks import Task
from tests.fixtures.models.tiny_bert import deployment, write_rows


@dataclass(frozen=True, slots=True, kw_only=True)
class Read:
    """A source with its rows and its reference, and the parts of its candidate in full precision."""

    step: Step
    parts: Path
    reference: Reference

    def check(self, folder: Path, change: "Change") -> Any:
        """Check the candidate as it is sealed where the source is read with that change."""
        source = self.step.source
        assert isinstance(source, TransformersSource)
        parts = change.parts(self.parts, folder / "parts") if change.parts else self.parts
        misread = change.source(source) if change.source else source
        step = replace(self.step, source=misread)
        recipe = family_of(source).recipes(source, step.tier, False)[0]
        seal(folder / "sealed", step, recipe, parts, self.reference.outputs)
        return check(step.name, folder / "sealed", source, step.rows, self.reference)


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """A fault of our reading: another source, or other files that are served."""

    source: Callable[[TransformersSource], TransformersSource] | None = None
    parts: Callable[[Path, Path], Path] | None = None


def read(
    place: Path,
    make: Callable[[Path], Path],
    task: Task,
    rows: Sequence[Mapping[str, Any]],
    **changes: Any,
) -> Read:
    """Return what a build has of a source before it checks its reading; `changes` go into the model's table."""
    folder = make(place / "source")
    path = write_rows(place / "rows.jsonl", rows)
    step = build.plan(deployment(folder, path, task, gpu=None, **changes), place / "out")[0]
    if isinstance(step.source, TransformersSource):
        source = unpickled(step.source, place / "unpickled")
        step = replace(step, source=with_settings(source, place / "tokenizer"))
    prepared, parts = place / "prepared", place / "parts"
    prepared.mkdir()
    parts.mkdir()
    family = family_of(step.source)
    family.prepare(step.source, prepared, silent)
    recipe = family.recipes(step.source, step.tier, False)[0]
    family.make(recipe, step.source, prepared, step.rows, parts)
    reference = family.reference(step.source, step.rows, prepared, silent)
    return Read(step=step, parts=parts, reference=reference)
