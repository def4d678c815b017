"""Sources as a build has read, exported and run them before it checks its reading, and faults of that reading."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from build import api
from build.families.registry import family_of
from build.library_errors import EXPORTING, naming_source
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
    step = planned(make(place / "source"), place / "planned", task, rows, **changes)
    parts = parts_of(step, place / "prepared", place / "parts")
    family = family_of(step.source)
    reference = family.reference(step.source, step.rows, place / "prepared", silent)
    return Read(step=step, parts=parts, reference=reference)


def planned(
    folder: Path, place: Path, task: Task, rows: Sequence[Mapping[str, Any]], **changes: Any
) -> Step:
    """Return the step of a folder, its files readable as they are; raise SourceError for all that is refused."""
    place.mkdir()
    path = write_rows(place / "rows.jsonl", rows)
    step = api.plan(deployment(folder, path, task, gpu=None, **changes), place / "out")[0]
    source = step.source
    assert isinstance(source, TransformersSource)
    readable = with_settings(unpickled(source, place / "unpickled"), place / "tokenizer")
    return replace(step, source=readable)


def parts_of(step: Step, prepared: Path, parts: Path) -> Path:
    """Export a step's source to the folder `prepared`, unless that is there, and return the parts of its candidate."""
    family = family_of(step.source)
    if not prepared.is_dir():
        prepared.mkdir()
        with naming_source(step.source, prepared, EXPORTING):
            family.prepare(step.source, prepared, silent)
    parts.mkdir()
    recipe = family.recipes(step.source, step.tier, False)[0]
    family.make(recipe, step.source, prepared, step.rows, parts)
    return parts
