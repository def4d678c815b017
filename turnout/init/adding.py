"""A model added to models.toml: its table, and rows of the project's sample where the user names no others."""

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from build.detection.model import Model, local_model, opened, tasks_of
from build.evaluation.rows import read_rows
from build.samples.rows import SampleFacts, as_lines, sample_rows
from build.sources import remote
from build.tasks.registry import TASKS
from build.workspace.publish import write_atomically
from contracts.problems import Code, Problem, ProblemsFound
from contracts.settings import DIMENSIONS, MODEL_NAME, REMOTE, SOURCE
from contracts.specs import Deployment, ModelSpec, SourceOptions
from contracts.tasks import Task
from contracts.toml.kinds import is_int
from turnout.init.names import name_for
from turnout.init.table import add_table, read_existing, table_text

# The folder, beside models.toml, of the rows that are written.
ROWS = "eval"
# The key of config.json for the dimensions that a model was trained to be cut to, as vLLM reads it:
# https://docs.vllm.ai/en/stable/models/pooling_models.html#matryoshka-embeddings
TRAINED_FOR = "matryoshka_dimensions"
OWN_ROWS = "add rows of your own: the gate is measured on these"
# Asks which of several tasks a source is for.
Choose = Callable[[object, Sequence[Task]], Task]


class InitFailed(ProblemsFound):
    """No model can be added from what was given; nothing was written."""

    code = "init_failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """The wishes of a user of `turnout init`; everything but the source may be left to it."""

    source: str
    config: Path
    out: Path
    task: Task | None = None
    name: str | None = None
    rows: Path | None = None
    max_tokens: int | None = None
    options: SourceOptions = SourceOptions()
    build: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Added:
    """A model in models.toml; `new` if its table was written now, `sample` if rows were written with it."""

    name: str
    source: str
    task: Task
    rows: Path
    new: bool
    sample: bool


def add(request: Request, choose: Choose, environment: Mapping[str, str] = os.environ) -> Added:
    """Write the table of a model and return what it says; raise an error, and write nothing, where it cannot be built.

    A model whose source and task have a table already is left as it is.
    """
    deployment = read_existing(request.config)
    problems = _problems(request, deployment)
    if problems:
        raise InitFailed(request.source, problems)
    source = request.source if request.source.startswith(REMOTE) else Path(request.source)
    # A source that is pinned in the file already needs no hub, which may be out of reach.
    if isinstance(source, str) and (spec := _known(deployment, source, request.task, request)):
        return _before(spec)
    with opened(source, request.options, environment) as found:
        model = _fetched(found, request, environment) if found.unseen and request.build else found
        task = request.task or choose(request.source, _tasks(model, request))
        facts = model.check(task, request.max_tokens, request.options)
    if request.rows and (problems := read_rows(request.rows, TASKS[task].rows, None)[1]):
        raise InitFailed(request.source, problems)
    if (spec := _known(deployment, model.named, task, request)) is not None:
        return _before(spec)
    name = request.name or name_for(source, [spec.name for spec in deployment.models])
    return _write(name, model, task, facts, request)


def _problems(request: Request, deployment: Deployment) -> list[Problem]:
    """Return every problem of what was given, before anything is looked for."""
    problems = []
    if not SOURCE.accepts(request.source):
        message = f"not a source; name {SOURCE.name}"
        problems.append(Problem(code=Code.SETTING_INVALID, where="SOURCE", message=message))
    if request.name is not None and not MODEL_NAME.accepts(request.name):
        message = (
            f"{request.name!r} cannot be part of a URL and of AWS names; use {MODEL_NAME.name}"
        )
        problems.append(Problem(code=Code.SETTING_INVALID, where="--name", message=message))
    if request.name in [spec.name for spec in deployment.models]:
        message = f"{request.config} has a model named {request.name}; give another name"
        problems.append(Problem(code=Code.SETTING_INVALID, where="--name", message=message))
    if request.rows is not None and not request.rows.is_file():
        message = (
            f"{request.rows} is not a file; name one of JSON lines, or leave it out for a sample"
        )
        problems.append(Problem(code=Code.ROWS_MISSING, where="--eval", message=message))
    return problems


def _fetched(model: Model, request: Request, environment: Mapping[str, str]) -> Model:
    """Download what the build is about to need anyway, and return the model in it."""
    pinned, pickle = str(model.named), request.options.allow_pickle
    remote.fetch(pinned, request.out, environment, pickle=pickle)
    path, _, problem = remote.located(pinned, request.out, pickle=pickle)
    if path is None:
        raise InitFailed(request.source, [problem] if problem else [])
    return local_model(path, pinned, request.options)


def _tasks(model: Model, request: Request) -> tuple[Task, ...]:
    if model.unseen:
        raise InitFailed(request.source, [_unseen(model)])
    return tasks_of(model, request.max_tokens, request.options)


def _unseen(model: Model) -> Problem:
    message = (
        f"what a {model.described.format_} is for stands in the file itself, and no weights are downloaded before a "
        "build; add --build, which downloads it now, or name --task and --eval"
    )
    return Problem(code=Code.NOT_FETCHED, where=str(model.named), message=message)


def _known(
    deployment: Deployment, source: Path | str, task: Task | None, request: Request
) -> ModelSpec | None:
    """Return the model that has the source and the task, or any, already, unless another name is wanted."""
    if request.name is not None:
        return None
    same = (
        spec
        for spec in deployment.models
        if task in (None, spec.task) and _same(spec.source, source)
    )
    return next(same, None)


def _same(one: Path | str, other: Path | str) -> bool:
    if isinstance(one, Path) and isinstance(other, Path):
        return one.resolve() == other.resolve()
    return one == other


def _before(spec: ModelSpec) -> Added:
    """Return a model that was there before."""
    return Added(
        name=spec.name,
        source=str(spec.source),
        task=spec.task,
        rows=spec.eval,
        new=False,
        sample=False,
    )


def _write(name: str, model: Model, task: Task, facts: SampleFacts, request: Request) -> Added:
    """Write the rows and then the table that names them; leave no rows behind where the table cannot be written."""
    folder = request.config.parent
    rows = request.rows or folder / ROWS / f"{name}.jsonl"
    sample = "" if request.rows else _sample(model, task, facts)
    settings = _settings(model, task, rows, request)
    comments = {"source": _revision(request, model.named), "eval": OWN_ROWS * bool(sample)}
    table = table_text(name, settings, comments)
    written = bool(sample) and _write_rows(rows, sample)
    try:
        add_table(request.config, table)
    except BaseException:
        if written:
            rows.unlink()
        raise
    return Added(
        name=name,
        source=str(model.named),
        task=task,
        rows=rows,
        new=True,
        sample=bool(sample),
    )


def _sample(model: Model, task: Task, facts: SampleFacts) -> str:
    """Return the sample's rows for the model; raise InitFailed where they are made of words that are not known."""
    if model.unseen and not facts.words:
        raise InitFailed(model.named, [_unseen(model)])
    return as_lines(sample_rows(task, facts, model.described.card.languages))


def _write_rows(path: Path, text: str) -> bool:
    """Write the sample's rows, and return whether there were none; raise InitFailed where others are in the way."""
    if path.exists():
        if path.read_bytes() == text.encode():
            return False
        message = "is there already and not the sample; name it by --eval, or move it away"
        raise InitFailed(path, [Problem(code=Code.SETTING_INVALID, message=message)])
    write_atomically(path, text)
    return True


def _settings(model: Model, task: Task, rows: Path, request: Request) -> dict[str, Any]:
    """Return the settings of a table in the order in which they stand; those with a default are left out."""
    source = model.named
    options, folder = request.options, request.config.parent
    tier = {"max_tokens": request.max_tokens} if request.max_tokens else {}
    optional = {
        "tokenizer": options.tokenizer and _from(folder, options.tokenizer),
        "labels": options.labels,
        "inputs": options.inputs,
        "dimensions": _dimensions(model.described.config, task),
        "pickle": options.allow_pickle,
    }
    return {
        "source": source if isinstance(source, str) else _from(folder, source),
        "task": str(task),
        "eval": _from(folder, rows),
        **{key: value for key, value in optional.items() if value},
        "cpu": tier,
    }


def _dimensions(config: Mapping[str, Any], task: Task) -> list[int]:
    """Return the fewer dimensions that a model says its vectors may be cut to."""
    listed, width = config.get(TRAINED_FOR), config.get("hidden_size")
    if task is not Task.FEATURE_EXTRACTION or not DIMENSIONS.accepts(listed) or not is_int(width):
        return []
    return [number for number in DIMENSIONS.take(listed) if number < width]


def _from(folder: Path, path: Path) -> str:
    """Return a path as the file in that folder names it: an absolute one as it is, any other relative to the folder."""
    named = str(path) if path.is_absolute() else os.path.relpath(path, folder)
    try:
        named.encode()
    except UnicodeEncodeError as error:
        message = "has a name that is not UTF-8, which TOML cannot hold; rename it"
        raise InitFailed(
            repr(named), [Problem(code=Code.SETTING_INVALID, message=message)]
        ) from error
    return named


def _revision(request: Request, named: Path | str) -> str:
    """Return the branch or tag that was given, which the commit in the table was when it was written."""
    revision = request.source.partition("@")[2] or "main"
    pinned = str(named).partition("@")[2]
    return revision if pinned and not pinned.startswith(revision) else ""
