"""Folders in which one setting counts, and their proof where our code does not see that setting."""

import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from build.errors import BuildError
from build.families.registry import family_of
from build.reading.check import Reading
from build.reading.outputs import Reference
from build.sources.source import TransformersSource
from build.workspace.progress import silent
from contracts.manifest import file_sha256
from contracts.problems import ProblemsFound
from contracts.tasks import Task
from tests.build.reading.read_source import Change, Read, parts_of, planned


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A folder that `make` writes, in which a setting counts, and rows that show it.

    `table` goes into the model's table of models.toml. `refused` is the code of the problem that the setting stops a
    build with; "" where the folder is built as it is.
    """

    task: Task
    make: Callable[[Path], Path]
    rows: Sequence[Mapping[str, Any]]
    table: Mapping[str, Any] = field(default_factory=dict)
    refused: str = ""


def settled(make: Callable[[Path], Path], file: str, **settings: Any) -> Callable[[Path], Path]:
    """Return a maker of the same folder with those keys in one of its files; None takes a key out."""

    def made(place: Path) -> Path:
        folder = make(place)
        edit(folder / file, **settings)
        return folder

    return made


def edit(path: Path, **settings: Any) -> None:
    """Change keys of a JSON file, which is written if there is none; None takes a key out."""
    before = json.loads(path.read_text("utf-8")) if path.is_file() else {}
    after = {key: value for key, value in {**before, **settings}.items() if value is not None}
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(after), "utf-8")


def without(folder: Path, file: str, key: str, place: Path) -> Path:
    """Return a copy of a folder whose file lacks a key, which the folder itself has."""
    copy = shutil.copytree(folder, place)
    document = json.loads((copy / file).read_text("utf-8"))
    listed = document if isinstance(document, list) else [document]
    assert any(key in each for each in listed), f"{file} has no {key}"
    for each in listed:
        each.pop(key, None)
    (copy / file).write_text(json.dumps(document), "utf-8")
    return copy


class Proof:
    """The proof of one folder, as a build does it, for several readings of it.

    What these have in common is made once: the library's answers, and a graph that two of them have.
    """

    def __init__(self, case: Case, folder: Path, place: Path) -> None:
        self.case = case
        self.folder = folder
        self.place = place
        self.reference: Reference | None = None

    def check(
        self, name: str, *, read: Path | None = None, exported: Path | None = None
    ) -> Reading:
        """Return the result of the check; raise what a build raises in place of it.

        Our readers and the exporter are given the folder itself, or the copies `read` and `exported`; the library is
        always given the folder itself.
        """
        case, place = self.case, self.place / name
        step = planned(read or self.folder, place, case.task, case.rows, **case.table)
        assert isinstance(step.source, TransformersSource)
        source = replace(step.source, path=exported or self.folder)
        step = replace(step, source=source)
        graph = graph_of(source)
        prepared = GRAPHS.get(graph, place / "prepared")
        parts = parts_of(step, prepared, place / "parts")
        GRAPHS[graph] = prepared
        if self.reference is None:
            own = replace(source, path=self.folder)
            self.reference = family_of(own).reference(own, step.rows, Path(), silent)
        found = Read(step=step, parts=parts, reference=self.reference)
        result: Reading = found.check(place / "checked", Change())
        return result


# The details that decide what a graph computes behind the model itself.
OF_HEADS = ("mask_id", "true_token_id", "false_token_id")
# The folders of graphs, by what these are made of: many cases differ in their tokenizers or settings alone.
GRAPHS: dict[str, Path] = {}


def graph_of(source: TransformersSource) -> str:
    """Return the digest of what a source's graphs depend on: its weights, its config, and what our readers found."""
    files = sorted(
        path
        for path in source.path.rglob("*")
        if path.suffix == ".safetensors" or path.name == "config.json"
    )
    read = (source.task.name, source.max_tokens, source.heads, source.hidden, source.pooling)
    known = repr((*read, *(source.details.get(key) for key in OF_HEADS)))
    digests = [f"{path.relative_to(source.path)} {file_sha256(path)}" for path in files]
    return "\n".join([known, *digests])


def stopped_by(error: BuildError) -> str:
    """Return the code of the error that stops a build, or of the first problem that it lists."""
    if isinstance(error, ProblemsFound):
        return str(error.problems[0].code)
    return error.code
