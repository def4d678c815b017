"""A model that a user names, on this machine or elsewhere: its task, and whether it can be built for it."""

import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from build.detection import remote_source
from build.detection.described import Described
from build.detection.fitting import fitting_tasks
from build.detection.local_source import describe_local
from build.detection.naming import naming
from build.errors import SourceError
from build.samples.facts import facts_of
from build.samples.rows import SampleFacts
from build.sources import remote
from build.sources.readers import inspect
from contracts.specs import SourceOptions
from contracts.tasks import Task


class Model(Protocol):
    """A model that can be built, or is refused with every reason."""

    @property
    def named(self) -> Path | str:
        """Return the source as models.toml names it; a remote one at the version that it has now."""
        ...

    @property
    def described(self) -> Described:
        """Return what its files say of it."""
        ...

    @property
    def unseen(self) -> bool:
        """Return whether the file itself, which is not here, has to be read to know its task and its words."""
        ...

    def check(self, task: Task, max_tokens: int | None, options: SourceOptions) -> SampleFacts:
        """Return what its sample rows depend on; raise SourceError with what keeps it from being built for the task."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalModel:
    """A folder or file at a path of this machine."""

    path: Path
    named: Path | str
    described: Described
    unseen: bool = False

    def check(self, task: Task, max_tokens: int | None, options: SourceOptions) -> SampleFacts:
        """Read the source as a build does."""
        source, problems = inspect(self.path, task, max_tokens, options)
        if source is None:
            raise SourceError(problems)
        return facts_of(source)


@contextmanager
def opened(
    source: Path | str, options: SourceOptions, environment: Mapping[str, str] = os.environ
) -> Iterator[Model]:
    """Yield the model that a source names; raise SourceError where it is none.

    Of a remote source the files that describe it are downloaded, which lie in a folder of their own until the block
    ends; its weights are not.
    """
    if isinstance(source, Path):
        yield local_model(source, source, options)
        return
    with tempfile.TemporaryDirectory(prefix="turnout-init-") as folder:
        found = remote.describe(source, Path(folder), environment)
        with naming(source):
            model = remote_source.model_of(found, Path(folder), options)
        yield model


def local_model(path: Path, named: Path | str, options: SourceOptions) -> LocalModel:
    """Return the model at a path; raise SourceError where it is none."""
    with naming(named):
        return LocalModel(path=path, named=named, described=describe_local(path, options))


def tasks_of(model: Model, max_tokens: int | None, options: SourceOptions) -> tuple[Task, ...]:
    """Return the tasks that fit, the likeliest first; raise SourceError where none does."""
    tasks = fitting_tasks(model.described)
    if not tasks:
        # Whatever the task, the reader of its format tells why it cannot be built, or what it lacks.
        model.check(Task.TEXT_CLASSIFICATION, max_tokens, options)
    return tasks or tuple(Task)
